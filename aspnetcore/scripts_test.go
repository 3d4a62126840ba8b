package aspnetcore

import (
	"os"
	"strings"
	"testing"
)

// The C# class has the scripts of the Go store, to the letter.
func TestScriptsOfRedisTicketStore(t *testing.T) {
	source, err := os.ReadFile("../examples/aspnetcore/webapp/RedisTicketStore.cs")
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"Census": censusLua, "Common": commonLua, "Store": storeLua, "Renew": renewLua, "Index": indexLua, "Remove": removeLua,
	} {
		literal := "    private const string " + name + "Lua = \"\"\"\n" + script + "\n\"\"\";\n"
		if strings.Count(string(source), literal) != 1 {
			t.Errorf("%sLua in RedisTicketStore.cs is not the script of this package", name)
		}
	}
}
