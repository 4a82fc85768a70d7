//go:build !race

package admin

// raceDetector says that the tests run with Go's race detector, several times slower.
const raceDetector = false
