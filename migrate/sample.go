package migrate

// Sample returns the indexes of at most that many of n things, spread evenly, the first
// and the last among them. most is at least 2.
func Sample(n, most int) map[int]bool {
	chosen := map[int]bool{}
	for i := range min(n, most) {
		if n <= most {
			chosen[i] = true
			continue
		}
		chosen[i*(n-1)/(most-1)] = true
	}
	return chosen
}

// maxListed is how many bytes the records of a namespace may hold, as JSON, for helm to be
// asked for a list. For any list helm reads and unpacks all records of the namespace: for
// 1,000 releases of 760 kB that took nearly as long as to write them.
const maxListed = 256 << 20

// TooLargeToList returns the namespaces of which helm is not asked for a list, because of
// the size of all records that the releases have there.
func TooLargeToList(releases []Release) map[string]bool {
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
