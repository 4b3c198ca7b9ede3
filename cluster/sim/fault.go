package sim

// Partition parts groups of nodes from each other; nodes in none of them are one more group. It replaces an earlier one.
func (c *Cluster) Partition(groups ...[]int) {
	c.mu.Lock()
	clear(c.parted)
	for g, group := range groups {
		for _, i := range group {
			c.parted[i] = g + 1
		}
	}
	c.mu.Unlock()
	c.part()
}

// Heal ends Partition. Nodes that crashed stay away.
func (c *Cluster) Heal() { c.Partition() }

// back has a node that crashed be reachable again.
func (c *Cluster) back(i int) {
	c.mu.Lock()
	delete(c.down, i)
	delete(c.ending, i)
	c.mu.Unlock()
	c.part()
}

// part has the network do what Partition and Crash said.
func (c *Cluster) part() {
	c.mu.Lock()
	defer c.mu.Unlock()
	byGroup := map[int][]string{}
	for i, g := range c.parted {
		if !c.down[i] {
			byGroup[g] = append(byGroup[g], Host(i))
		}
	}
	groups := make([][]string, 0, len(byGroup)+len(c.down))
	for _, hosts := range byGroup {
		groups = append(groups, hosts)
	}
	for i := range c.down {
		groups = append(groups, []string{Host(i)})
	}
	c.net.Partition(groups...)
}
