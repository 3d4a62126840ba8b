package aspnetcore

import (
	"os"
	"testing"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }
