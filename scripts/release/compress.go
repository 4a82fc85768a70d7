package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
)

// A packer compresses files of a release. Each program is in several archives, at other
// places of other layouts; it is compressed once. The module's version is pinned, so that the
// bytes do not depend on the Go toolchain either. The zero value is ready.
type packer struct {
	mutex sync.Mutex
	known map[[sha256.Size]byte][]byte
}

// large is from when on a part of an archive is compressed alone.
const large = 1 << 20

// gzip returns one gzip stream of the parts. Each large part is compressed without the ones
// before it, so that its blocks can stand in other streams; a stream of such blocks is a valid
// one for every reader. The header has neither name nor time.
func (p *packer) gzip(parts [][]byte) ([]byte, error) {
	out := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}
	var sum, size uint32
	for _, part := range joinSmall(parts) {
		blocks, err := p.blocks(part)
		if err != nil {
			return nil, err
		}
		out = append(out, blocks...)
		sum = crc32.Update(sum, crc32.IEEETable, part)
		size += uint32(len(part)) // modulo 2^32, as the format has it
	}
	out = append(out, 0x03, 0x00) // an empty last block
	out = binary.LittleEndian.AppendUint32(out, sum)
	return binary.LittleEndian.AppendUint32(out, size), nil
}

// joinSmall joins the small parts between large ones, which are shorter compressed together.
func joinSmall(parts [][]byte) [][]byte {
	var joined [][]byte
	var small []byte
	for _, part := range parts {
		if len(part) < large {
			small = append(small, part...)
			continue
		}
		joined = append(joined, small, part)
		small = nil
	}
	return append(joined, small)
}

// blocks returns the compressed part: blocks that end at a byte, none of them the last.
func (p *packer) blocks(part []byte) ([]byte, error) {
	if len(part) < large {
		return deflate(part)
	}
	sum := sha256.Sum256(part)
	p.mutex.Lock()
	blocks := p.known[sum]
	p.mutex.Unlock()
	if blocks != nil {
		return blocks, nil
	}
	blocks, err := deflate(part)
	if err != nil {
		return nil, err
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.known == nil {
		p.known = map[[sha256.Size]byte][]byte{}
	}
	p.known[sum] = blocks
	return blocks, nil
}

func deflate(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Flush()
	return out.Bytes(), err
}

// prepare compresses large files on all processors, so that the archives find them compressed.
func (p *packer) prepare(files map[string]file) error {
	var wait sync.WaitGroup
	names := make(chan string)
	errs := make(chan error, len(files))
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for name := range names {
				_, err := p.blocks(files[name].data)
				errs <- err
			}
		})
	}
	for _, name := range sortedKeys(files) {
		if len(files[name].data) >= large {
			names <- name
		}
	}
	close(names)
	wait.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
