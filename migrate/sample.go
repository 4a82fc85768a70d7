package migrate

// sample returns the indexes of at most limit of n things, evenly spread, including the
// first and the last. limit is at least 2.
func sample(n, limit int) map[int]bool {
	chosen := map[int]bool{}
	for i := range min(n, limit) {
		if n <= limit {
			chosen[i] = true
			continue
		}
		chosen[i*(n-1)/(limit-1)] = true
	}
	return chosen
}

// maxListed bounds the size, as JSON, of a namespace's records for which helm is asked
// for a list. For any list helm reads and unpacks all records of the namespace: for 1,000
// releases of 760 kB that took nearly as long as writing them.
const maxListed = 256 << 20

// tooLargeToList returns the namespaces for which helm is not asked for a list, because
// of the total size of the releases' records there.
func tooLargeToList(releases []Release) map[string]bool {
	sizes := map[string]int{}
	for _, r := range releases {
		for _, revision := range r.Revisions {
			sizes[r.Namespace] += revision.size
		}
	}
	large := map[string]bool{}
	for namespace, size := range sizes {
		if size > maxListed {
			large[namespace] = true
		}
	}
	return large
}
