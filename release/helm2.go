package release

import (
	"errors"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	release2 "k8s.io/helm/pkg/proto/hapi/release"
)

// errNoProtobuf is said in words of our own: protobuf-go varies its own from build to
// build on purpose (google.golang.org/protobuf/internal/errors).
var errNoProtobuf = errors.New("what it holds is no protobuf of a release")

// Helm2 reads the release that a record of Tiller's holds packed, as a protobuf.
func Helm2(packed []byte) (*release2.Release, error) {
	plain, err := unpack(packed)
	if err != nil {
		return nil, err
	}
	var r release2.Release
	if proto.Unmarshal(plain, protoadapt.MessageV2Of(&r)) != nil {
		return nil, errNoProtobuf
	}
	return &r, nil
}
