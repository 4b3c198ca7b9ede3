package abi

import "testing"

func TestMayTrail(t *testing.T) {
	for name, want := range map[string]bool{
		"x-checksum": true, "Grpc-Status": true, "ETag": true, "Digest": true, "Server-Timing": true, "Settle": true, "Content-MD5": true,
		"Host": false, "content-length": false, "TRANSFER-ENCODING": false, "Trailer": false, "TE": false, "Set-Cookie": false,
		"Authorization": false, "Sett-Trigger": false, "sett_trigger": false, "Proxy-Connection": false, "If-Match": false,
		"X-Forwarded-For": false, "X-Real-IP": false, "Access-Control-Allow-Origin": false, "Location": false, "Content-Type": false,
	} {
		if got := MayTrail(name); got != want {
			t.Errorf("MayTrail(%q) = %v, want %v", name, got, want)
		}
	}
	if n := FieldBytes([]Field{{"ab", "c"}, {"d", ""}}); n != 4 {
		t.Errorf("FieldBytes = %d, want 4", n)
	}
}
