package aspnetcore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/redis/go-redis/v9"
)

const maxItems = 10_000

// A keySource reads the items of a key ring. The texts are for errors.
type keySource interface {
	read(ctx context.Context) ([]item, error)
	String() string
	setting() string // what says where the keys are
	writer() string  // the method of .NET that has them written there
}

type redisKeys struct {
	client redis.UniversalClient
	key    string
}

func (s redisKeys) String() string { return fmt.Sprintf("the Redis list %q", s.key) }
func (s redisKeys) setting() string {
	return "KeyRingConfig.ListKey and the database of KeyRingConfig.Client"
}
func (s redisKeys) writer() string { return "PersistKeysToStackExchangeRedis" }

func (s redisKeys) read(ctx context.Context) ([]item, error) {
	values, err := s.client.LRange(ctx, s.key, 0, maxItems).Result()
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, fmt.Errorf("it is not a list: check %s", s.setting())
	}
	if err != nil {
		return nil, err
	}
	if len(values) > maxItems {
		return nil, tooMany()
	}
	items := make([]item, len(values))
	for i, v := range values {
		items[i] = item{fmt.Sprintf("item %d", i), []byte(v)}
	}
	return items, nil
}

type directoryKeys string

func (s directoryKeys) String() string  { return fmt.Sprintf("the directory %q", string(s)) }
func (s directoryKeys) setting() string { return "KeyRingConfig.Directory" }
func (s directoryKeys) writer() string  { return "PersistKeysToFileSystem" }

// read reads the files that .NET does: *.xml, and nothing below. Links to
// files are followed, since a mounted Kubernetes secret is made of them.
func (s directoryKeys) read(ctx context.Context) ([]item, error) {
	entries, err := os.ReadDir(string(s))
	if err != nil {
		return nil, fmt.Errorf("%w: check %s", err, s.setting())
	}
	var items []item
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".xml") {
			continue
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		data, err := readKeyFile(filepath.Join(string(s), entry.Name()))
		if errors.Is(err, errNoFile) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(items) == maxItems {
			return nil, tooMany()
		}
		items = append(items, item{fmt.Sprintf("file %q", entry.Name()), data})
	}
	return items, nil
}

var errNoFile = errors.New("not a file")

// readKeyFile returns errNoFile for folders, and for files and links whose end
// is not there (any more).
func readKeyFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, errNoFile
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// One byte more than parseXML takes.
	data, err := io.ReadAll(io.LimitReader(f, maxItemBytes+1+int64(len(byteOrderMark))))
	if err != nil {
		return nil, err
	}
	return []byte(strings.TrimPrefix(string(data), byteOrderMark)), nil
}

// byteOrderMark stands before the XML in .NET's files.
const byteOrderMark = "\ufeff"

func tooMany() error { return fmt.Errorf("it has more than %d items", maxItems) }
