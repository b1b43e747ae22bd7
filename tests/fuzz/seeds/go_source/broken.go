package p
func a() { if { } )
func (b B) c[(x int) { "
func d() {}
/* new(