package main

import "testing"

func testStrangers(t *testing.T, c *den) {}
