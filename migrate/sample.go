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
