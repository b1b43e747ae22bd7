// What woven code asks package runtime for beside writing its records: the goroutine, its callers, and values that a
// point keeps for later ones of the goroutine.

package runtime

import "unsafe"

//go:linkname earshotGoid
//go:nosplit
func earshotGoid() uint64 {
	return uint64(getg().goid)
}

// ---- callers ----

// What was found out, by the callers and the name: the answer is the lowest bit.
var earshotCalled [256]uint64

// earshotCalledBy tells whether the function that a point is in, at its entry or its return, was called by the one of
// that name; or, as how says (0: that very one), by one whose name begins with it (1), ends in it (2) or has it within
// (3). Where the caller is inlined into another function, either of them will do.
//
//go:linkname earshotCalledBy
func earshotCalledBy(name string, how int) bool {
	var pcs [8]uintptr
	n := callers(1, pcs[:])
	hash := uint64(how)*2 + uint64(len(name))<<8
	for i := 0; i < n; i++ {
		hash = (hash ^ uint64(pcs[i])) * 0x9e3779b97f4a7c15
	}
	for i := 0; i < len(name); i++ {
		hash = (hash ^ uint64(name[i])) * 0x100000001b3
	}
	place := &earshotCalled[hash>>40%uint64(len(earshotCalled))]
	if known := *place; known&^1 == hash&^1 && known != 0 {
		return known&1 != 0
	}
	is := earshotLookUpCaller(name, how)
	known := hash &^ 1
	if is {
		known |= 1
	}
	*place = known
	return is
}

func earshotLookUpCaller(name string, how int) bool {
	pcs := new([24]uintptr)
	n := Callers(3, pcs[:])
	frames := CallersFrames(pcs[:n])
	asking := 0 // 0: nothing seen, 1: the point's own function, 2: the function that it is in
	for more := n > 0; more; {
		var f Frame
		f, more = frames.Next()
		if asking < 2 {
			if earshotIsName(f.Function, ".earshot_f", 3) || earshotIsName(f.Function, ".earshot_e", 3) {
				asking = 1
			} else if asking == 1 && f.Function != "runtime.deferreturn" {
				asking = 2
			}
			continue
		}
		if earshotIsBody(f.Function) {
			continue
		}
		if earshotIsName(f.Function, name, how) {
			return true
		}
		if f.Func != nil {
			break // a frame of its own: what is behind it has called it
		}
	}
	return false
}

// Where the weaver has made two functions of one, what called is the second, and the first has the name.
func earshotIsBody(function string) bool {
	const own = "earshot_w"
	at := len(function)
	for at > 0 && function[at-1] >= '0' && function[at-1] <= '9' {
		at--
	}
	return at < len(function) && at > len(own) && function[at-len(own):at] == own && function[at-len(own)-1] == '.'
}

// The linker writes a dot of a path's last element as %2e.
func earshotNameAt(function string, at int, name string) (end int, is bool) {
	for i := 0; i < len(name); i++ {
		if at+3 <= len(function) && function[at:at+3] == "%2e" && name[i] == '.' {
			at += 3
			continue
		}
		if at >= len(function) || function[at] != name[i] {
			return at, false
		}
		at++
	}
	return at, true
}

func earshotIsName(function, name string, how int) bool {
	last := 0
	if how >= 2 {
		last = len(function)
	}
	for at := 0; at <= last; at++ {
		end, is := earshotNameAt(function, at, name)
		if is && (how == 1 || how == 3 || end == len(function)) {
			return true
		}
	}
	return false
}

// ---- values that are kept ----
//
// By goroutine, a few sets each: the key of a set is the span's in its upper half, and whose of its points keep in the
// lower one. There is a fixed number of places, so nobody has to give them back; the oldest makes room. The collector
// sees what they hold.

const (
	earshotKeptSlots = 4
	earshotKeptWays  = 4
	earshotKeptRows  = 1 << 9
	earshotKeptTries = 1000
)

type earshotKeptSet struct {
	goid, key, age uint64
	slots          [earshotKeptSlots]earshotSlot
}

type earshotKeptRow struct {
	lock, clock uint64
	sets        [earshotKeptWays]earshotKeptSet
}

type earshotKeptRowList [earshotKeptRows]earshotKeptRow

var earshotKeptAll *earshotKeptRowList

//go:nosplit
func earshotKeptRowOf(goid uint64) *earshotKeptRow {
	return &earshotKeptAll[goid*0x9e3779b97f4a7c15>>32&(earshotKeptRows-1)]
}

// Nobody is preempted while he holds it; he may lose his thread for a while.
//
//go:nosplit
func earshotKeptLock(r *earshotKeptRow) bool {
	for i := 0; i < earshotKeptTries; i++ {
		if r.lock == 0 && earshotCas(&r.lock, 0, 1) {
			return true
		}
	}
	return false
}

//go:nosplit
func earshotKeptUnlock(r *earshotKeptRow) {
	earshotCas(&r.lock, 1, 0) // loads in front of it are done, too
}

// Without the lock: better no value than one of an earlier span. Whoever is taking the place over puts its own key there.
//
//go:nosplit
func earshotKeptDrop(r *earshotKeptRow, goid, key uint64) {
	for i := range r.sets {
		if s := &r.sets[i]; s.goid == goid && s.key == key {
			earshotCas(&s.key, key, 0)
		}
	}
}

// earshotKeep keeps n values in place of what was kept under that key. A pointer into the goroutine's own stack is not:
// the stack may move.
//
//go:linkname earshotKeep
func earshotKeep(key uint64, slots *earshotSlot, n int) {
	if earshotKeptAll == nil {
		earshotKeptMake()
	}
	earshotKeepSet(key, slots, n)
}

func earshotKeptMake() {
	all := new(earshotKeptRowList)
	if earshotCas(&earshotKeptMade, 0, 1) {
		earshotKeptAll = all
		return
	}
	for i := 0; earshotKeptAll == nil && i < earshotKeptTries; i++ {
		Gosched()
	}
}

var earshotKeptMade uint64

//go:nosplit
func earshotKeepSet(key uint64, slots *earshotSlot, n int) {
	if earshotKeptAll == nil || uint(n) > earshotKeptSlots {
		return
	}
	gp := getg()
	goid := uint64(gp.goid)
	r := earshotKeptRowOf(goid)
	if !earshotKeptLock(r) {
		earshotKeptDrop(r, goid, key)
		return
	}
	r.clock++
	set := &r.sets[0]
	for i := range r.sets {
		s := &r.sets[i]
		if s.goid == goid && s.key == key {
			set = s
			break
		}
		if s.age < set.age {
			set = s
		}
	}
	set.goid, set.key, set.age = goid, key, r.clock
	for i := 0; i < earshotKeptSlots; i++ {
		to := &set.slots[i]
		to.text, to.value, to.status, to.kind = nil, 0, 0, 0
		if i >= n {
			continue
		}
		from := (*earshotSlot)(unsafe.Add(unsafe.Pointer(slots), 24*i))
		if at := uintptr(from.text); from.status != 1 || (at >= gp.stack.lo && at < gp.stack.hi) {
			continue
		}
		to.text, to.value, to.status = from.text, from.value, from.status
	}
	earshotKeptUnlock(r)
}

// earshotSaved gives what is kept under that key: 4 slots, of status 0 (absent) where there is none.
//
//go:linkname earshotSaved
//go:nosplit
func earshotSaved(key uint64, slots *earshotSlot) {
	if earshotKeptAll == nil {
		return
	}
	goid := uint64(getg().goid)
	r := earshotKeptRowOf(goid)
	if !earshotKeptLock(r) {
		for k := 0; k < earshotKeptSlots; k++ {
			(*earshotSlot)(unsafe.Add(unsafe.Pointer(slots), 24*k)).status = 5 // SLOT_UNREADABLE
		}
		return
	}
	for i := range r.sets {
		s := &r.sets[i]
		if s.goid != goid || s.key != key {
			continue
		}
		for k := 0; k < earshotKeptSlots; k++ {
			*(*earshotSlot)(unsafe.Add(unsafe.Pointer(slots), 24*k)) = s.slots[k]
		}
	}
	earshotKeptUnlock(r)
}

// earshotForget lets go of all that the goroutine keeps for a span: it ends.
//
//go:linkname earshotForget
//go:nosplit
func earshotForget(key uint64) {
	if earshotKeptAll == nil {
		return
	}
	goid := uint64(getg().goid)
	r := earshotKeptRowOf(goid)
	for i := range r.sets {
		s := &r.sets[i]
		if s.goid != goid || s.key>>32 != key>>32 {
			continue
		}
		if !earshotKeptLock(r) {
			earshotKeptDrop(r, goid, s.key)
			continue
		}
		if s.goid == goid {
			s.goid, s.age = 0, 0
			for k := 0; k < earshotKeptSlots; k++ {
				s.slots[k].text, s.slots[k].status = nil, 0
			}
		}
		earshotKeptUnlock(r)
	}
}
