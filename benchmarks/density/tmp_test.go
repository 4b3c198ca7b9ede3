package density
import "testing"
func TestTmp(t *testing.T){ out,f,c:=runDensity(t,"--functions","1000,10000","--go","0","--idle","5s"); t.Log(out,f,c)}
