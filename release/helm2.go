package release

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	release2 "k8s.io/helm/pkg/proto/hapi/release"
)

// Helm2 reads the release that a record of Tiller's holds packed, as a protobuf.
func Helm2(packed []byte) (*release2.Release, error) {
	plain, err := unpack(packed)
	var r release2.Release
	if err == nil {
		err = proto.Unmarshal(plain, protoadapt.MessageV2Of(&r))
	}
	if err != nil {
		return nil, err
	}
	return &r, nil
}
