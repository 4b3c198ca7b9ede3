package replica

import "os"

func childDir() string     { return os.Getenv("SETT_REPLICA_CHILD") }
func childMain(dir string) {}
