// Marks: the open spans as the recorder itself knows them, so that a trace is decided where its first point comes by.
// What they are, and what each kind of point does with them: probe/mark.h and probe/ir.h (IR_MARK_*) of earshot's
// source. Who listens says in a plan for each point (plant/woven/area.h) which of its slots lead to marks.
//
// A mark lies anywhere. Words, and goroutines, lead to marks: two tables of sets of four. Such an entry has the mark's
// number and its key, which is made of its span id: if the key is still there it is still that mark, since no span id
// comes twice. So a mark ends by giving its key up, and who led to it need not know: entries that lead to no other one
// are dead, and the first to be taken over. An entry is taken over by an exchange of its key, with the lowest bit set
// until the rest is there.
//
// All of it lies in the shared memory: goroutines that end leave nothing behind that must be found and freed.

package runtime

import "unsafe"

const (
	earshotPlansMax   = 2048
	earshotMarksMax   = 1 << 14
	earshotNamesMax   = 4 * earshotMarksMax
	earshotMarkLevels = 6
	earshotMarkTries  = 40
	earshotMarkBatch  = 16
	earshotRunOff     = 1024 // in a slot

	earshotBusy = 1 // bit of a key

	earshotMarkStart  = 0 // enum mark_action
	earshotMarkTie    = 2
	earshotMarkDetach = 3
	earshotMarkEnd    = 4
	earshotMarkUnwind = 5
	earshotMarkExit   = 6
	earshotMarkInject = 7

	earshotByHeader = 0 // enum woven_plan_use
	earshotByParent = 1
	earshotByOwn    = 2
	earshotByKey    = 3
	earshotCarried  = 4
	earshotByState  = 5
	earshotByOther  = 6

	earshotPlanByRatio  = 1 // bits of a plan
	earshotPlanChild    = 2
	earshotPlanCreator  = 4
	earshotPlanOfCall   = 8
	earshotPlanDetached = 16
	earshotPlanOrEnd    = 32
	earshotPlanAlone    = 64

	earshotOfContext = 0 // enum mark_kind
	earshotOfKey     = 1
	earshotOfCarrier = 2

	earshotSampledFlag = 1 // of a mark
	earshotUndecided   = 0x400

	earshotHas    = 1 // of a run
	earshotSealed = 2
	earshotKeyed  = 4
	earshotHeaded = 8 // its mark is that of a header
)

type earshotPlan struct {
	action, flags, words, creator uint8 // creator, epoch: the number of the first slot of these, from 1; 0: none
	group, call, idFlags          uint32
	threshold                     uint64
	epoch, inject                 uint8
	_                             [6]uint8
	word                          [16]struct{ use, slot uint8 }
}

type earshotLink struct {
	key, at uint64 // of a mark: its number
}

type earshotNames struct { // what begins each entry
	key, time uint64
	to        earshotLink
}

type earshotStack struct {
	key, time uint64
	to        [earshotMarkLevels]earshotLink
	_         [2]uint64
}

type earshotMark struct {
	key, time                uint64
	ids                      [3]uint64
	flags, group, call, used uint32
	goid, depth              uint64
	epoch                    [3]uint64
	root                     earshotLink // of whose tracestate it has
	_                        [2]uint64
}

// One point on its way: in the slot, since no stack of ours has much room.
type earshotRun struct {
	state, flags uint32
	ids          [3]uint64
	at, key      uint64
	goid, depth  uint64
	random       [2]uint64
	place        uint64 // where there was a free mark last
	group, call  uint32
	count        uint64 // what found no room
	root         earshotLink
	said         uint64 // what came of a tracestate
}

const (
	_ = uint(64 - unsafe.Sizeof(earshotPlan{}))
	_ = uint(unsafe.Sizeof(earshotPlan{}) - 64)
	_ = uint(128 - unsafe.Sizeof(earshotStack{}))
	_ = uint(unsafe.Sizeof(earshotStack{}) - 128)
	_ = uint(128 - unsafe.Sizeof(earshotMark{}))
	_ = uint(unsafe.Sizeof(earshotMark{}) - 128)
)

//go:nosplit
func earshotPlanAt(number uint32) *earshotPlan {
	if number-1 >= earshotPlansMax || earshotMemory.marksOn == 0 {
		return nil
	}
	return (*earshotPlan)(unsafe.Add(unsafe.Pointer(earshotMemory), earshotPlansOff+64*uintptr(number-1)))
}

//go:nosplit
func earshotMarkAt(number uint64) *earshotMark {
	return (*earshotMark)(unsafe.Add(unsafe.Pointer(earshotMemory), earshotMarksOff+128*(uintptr(number)%earshotMarksMax)))
}

func earshotLoads() // asm_arm64.s

// Loads behind it are not done before those in front of it.
//
//go:nosplit
func earshotInOrder() {
	if GOARCH == "arm64" {
		earshotLoads()
	}
}

// ---- random numbers ----

// xorshift128+, begun with what the reader has from the kernel.
//
//go:nosplit
func earshotRandom(run *earshotRun) uint64 {
	a, b := run.random[0], run.random[1]
	if a|b == 0 {
		a = earshotMemory.seed[0] ^ uint64(uintptr(unsafe.Pointer(run)))*0x9e3779b97f4a7c15
		b = earshotMemory.seed[1] | 1
	}
	run.random[0] = b
	a ^= a << 23
	a ^= a >> 18
	a ^= b ^ b>>5
	run.random[1] = a
	return a + b
}

// ---- tables ----

//go:nosplit
func earshotKeyOf(word, kind uint64) uint64 {
	return (word*0x9e3779b97f4a7c15^(kind+1)*0xd6e8feb86659fd93)&^earshotBusy | 2
}

// The set that a word is in: what lies side by side in memory has sets side by side, so that what one request after the
// other brings is in a few pages.
//
//go:nosplit
func earshotNameSet(word, kind uint64) unsafe.Pointer {
	set := (word>>5 ^ word>>19 + 12345*(kind&255)) & (earshotNamesMax/4 - 1)
	return unsafe.Add(unsafe.Pointer(earshotMemory), earshotNamesOff+4*32*uintptr(set))
}

//go:nosplit
func earshotStackSet(goid uint64) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(earshotMemory), earshotStacksOff+4*128*uintptr(goid&(earshotMarksMax/4-1)))
}

//go:nosplit
func earshotFindEntry(set unsafe.Pointer, bytes uintptr, key uint64) *earshotNames {
	for way := uintptr(0); way < 4; way++ {
		e := (*earshotNames)(unsafe.Add(set, way*bytes))
		if e.key == key {
			return e
		}
	}
	return nil
}

// The mark that a link leads to; nil: it has ended.
//
//go:nosplit
func earshotFollow(l *earshotLink) *earshotMark {
	key := l.key
	if key == 0 {
		return nil
	}
	m := earshotMarkAt(l.at)
	if m.key != key {
		return nil
	}
	earshotInOrder() // what it says is not that of the mark that was there before
	return m
}

//go:nosplit
func earshotIsDead(e unsafe.Pointer, bytes uintptr) bool {
	links := uintptr(1)
	if bytes == 128 {
		links = earshotMarkLevels
	}
	for k := uintptr(0); k < links; k++ {
		l := (*earshotLink)(unsafe.Add(e, 16+16*k)) // no earshotFollow: it takes stack, of which little is left here
		if key := l.key; key != 0 && earshotMarkAt(l.at).key == key {
			return false
		}
	}
	return true
}

// The entry of that key, busy; own: it was there. Else a free one, or a dead one, or the oldest one gives way. nil:
// others are at the same set all the time.
//
//go:nosplit
func earshotClaim(run *earshotRun, set unsafe.Pointer, bytes uintptr, key uint64) (entry *earshotNames, own bool) {
	for tries := 0; tries < earshotMarkTries; tries++ {
		e := earshotFindEntry(set, bytes, key)
		if e != nil {
			if earshotCas(&e.key, key, key|earshotBusy) {
				e.time = earshotMemory.heartbeat
				return e, true
			}
			continue
		}
		var old *earshotNames
		dead := false
		for way := uintptr(0); way < 4 && !dead; way++ {
			e = (*earshotNames)(unsafe.Add(set, way*bytes))
			if e.key&earshotBusy != 0 {
				continue
			}
			dead = e.key == 0 || earshotIsDead(unsafe.Pointer(e), bytes)
			if dead || old == nil || e.time < old.time {
				old = e
			}
		}
		if old == nil {
			continue
		}
		was := old.key
		if was&earshotBusy == 0 && earshotCas(&old.key, was, key|earshotBusy) {
			if !dead {
				run.count++
			}
			old.time = earshotMemory.heartbeat
			return old, false
		}
	}
	run.count++
	return nil, false
}

//go:nosplit
func earshotRelease(e *earshotNames, key uint64) {
	publicationBarrier()
	e.key = key
}

// The mark is the run's.
//
//go:nosplit
func earshotTakeMark(run *earshotRun, m *earshotMark, key uint64) {
	run.ids = m.ids
	run.flags = m.flags
	root := m.root
	earshotInOrder()
	if m.key == key {
		run.root = root
		run.at = uint64(uintptr(unsafe.Pointer(m))-uintptr(unsafe.Pointer(earshotMemory))-earshotMarksOff) / 128
		run.key = key
		run.state |= earshotHas
	}
}

//go:nosplit
func earshotOwns(run *earshotRun) bool {
	return run.state&(earshotHas|earshotHeaded) == earshotHas
}

// ---- words ----

// A word of the point's: 0 where it has none.
//
//go:nosplit
func earshotWordOf(slots *earshotSlot, number uint8) *earshotSlot {
	s := (*earshotSlot)(unsafe.Add(unsafe.Pointer(slots), 24*uintptr(number)))
	if s.status != 1 {
		return nil
	}
	return s
}

//go:nosplit
func earshotPutMark(run *earshotRun, kind, word uint64) bool {
	if !earshotOwns(run) || word == 0 {
		return false
	}
	key := earshotKeyOf(word, kind)
	e, _ := earshotClaim(run, earshotNameSet(word, kind), 32, key)
	if e == nil {
		return false
	}
	e.to = earshotLink{run.key, run.at}
	earshotRelease(e, key)
	return true
}

// The mark that the word leads to, and its key.
//
//go:nosplit
func earshotMarkOf(kind, word uint64) (*earshotMark, uint64) {
	key := earshotKeyOf(word, kind)
	e := earshotFindEntry(earshotNameSet(word, kind), 32, key)
	if e == nil {
		return nil, 0
	}
	to := e.to
	earshotInOrder()
	if e.key != key {
		return nil, 0
	}
	return earshotFollow(&to), to.key
}

//go:nosplit
func earshotFindByKey(run *earshotRun, kind, word uint64, only bool) {
	if run.state&(earshotHas|earshotSealed) != 0 || word == 0 {
		return
	}
	if only {
		run.state |= earshotSealed
	}
	if m, key := earshotMarkOf(kind, word); m != nil {
		earshotTakeMark(run, m, key)
	}
}

// The nearest link that is a mark's own context.
//
//go:nosplit
func earshotFindByChain(run *earshotRun, links unsafe.Pointer) {
	for i := uintptr(0); run.state&(earshotHas|earshotSealed) == 0; i++ {
		link := *(*uint64)(unsafe.Add(links, 8*i))
		if link < 8 {
			return
		}
		m, key := earshotMarkOf(earshotOfContext, link&^7)
		if m != nil && (link&1 == 0 || m.goid == run.goid) {
			earshotTakeMark(run, m, key)
		}
	}
}

// Each word of one use, in order.
//
//go:nosplit
func earshotWords(run *earshotRun, plan *earshotPlan, slots *earshotSlot, use uint8, put bool) {
	for i := uint8(0); i < plan.words && i < 16; i++ {
		if plan.word[i].use != use {
			continue
		}
		s := earshotWordOf(slots, plan.word[i].slot)
		if s == nil {
			continue
		}
		switch use {
		case earshotByHeader:
			earshotFindByHeader(run, s.text, uintptr(s.value))
		case earshotByParent:
			earshotFindByChain(run, s.text)
		case earshotByOwn:
			if link := *(*uint64)(s.text); link >= 8 {
				earshotPutMark(run, earshotOfContext, link&^7)
			}
		case earshotByKey:
			kind := uint64(earshotOfKey) + 3*uint64(plan.group)
			if !put {
				earshotFindByKey(run, kind, s.value, plan.action != earshotMarkDetach)
			} else if earshotPutMark(run, kind, s.value) {
				run.state |= earshotKeyed
			}
		case earshotByState:
			earshotKeepState(run, s.text, uintptr(s.value))
		case earshotByOther:
			earshotFindByKey(run, earshotOfCarrier, s.value, false)
		default:
			earshotPutMark(run, earshotOfCarrier, s.value)
		}
	}
}

// ---- what came in ----

// n digits in lower case from there on. False: others are among them.
//
//go:nosplit
func earshotHex(text unsafe.Pointer, at, n uintptr, to *uint64) bool {
	word := uint64(0)
	for i := uintptr(0); i < n; i++ {
		c := *(*uint8)(unsafe.Add(text, at+i))
		if c >= '0' && c <= '9' {
			c -= '0'
		} else if c >= 'a' && c <= 'f' {
			c -= 'a' - 10
		} else {
			return false
		}
		word |= uint64(c) << (8*(i/2) + 4*(1-i%2)) // bytes as they lie in memory
	}
	*to = word
	return true
}

//go:nosplit
func earshotFindByHeader(run *earshotRun, text unsafe.Pointer, n uintptr) {
	if run.state&(earshotHas|earshotSealed) != 0 || n < 55 {
		return
	}
	var version, flags uint64
	ids := &run.ids
	dashes := *(*uint8)(unsafe.Add(text, 2)) == '-' && *(*uint8)(unsafe.Add(text, 35)) == '-' &&
		*(*uint8)(unsafe.Add(text, 52)) == '-' && (n == 55 || *(*uint8)(unsafe.Add(text, 55)) == '-')
	if !dashes || !earshotHex(text, 0, 2, &version) || version == 0xff || (version == 0 && n != 55) ||
		!earshotHex(text, 3, 16, &ids[0]) || !earshotHex(text, 19, 16, &ids[1]) || !earshotHex(text, 36, 16, &ids[2]) ||
		!earshotHex(text, 53, 2, &flags) || ids[0]|ids[1] == 0 || ids[2] == 0 {
		return
	}
	run.flags = uint32(flags) & earshotSampledFlag
	run.state |= earshotHas | earshotHeaded
}

// ---- a goroutine's marks ----

//go:nosplit
func earshotStackOf(goid uint64) *earshotStack {
	return (*earshotStack)(unsafe.Pointer(earshotFindEntry(earshotStackSet(goid), 128, earshotKeyOf(goid, 0))))
}

// Number k of those on it; nil: none.
//
//go:nosplit
func earshotLevel(s *earshotStack, k int, goid uint64) *earshotMark {
	m := earshotFollow(&s.to[k])
	if m == nil || m.goid != goid {
		return nil
	}
	return m
}

// The one that is around the point; all that are deeper have left the stack, as have those as deep that are not of the
// same call as a span of another group.
//
//go:nosplit
func earshotAround(run *earshotRun, plan *earshotPlan) {
	if run.state&earshotSealed != 0 {
		return
	}
	s := earshotStackOf(run.goid)
	if s == nil {
		return
	}
	var best *earshotMark
	for k := 0; k < earshotMarkLevels; k++ {
		m := earshotLevel(s, k, run.goid)
		if m == nil {
			continue
		}
		if m.depth > run.depth || (m.depth == run.depth && (m.call != plan.call || m.group == plan.group)) {
			earshotCas(&m.key, s.to[k].key, 0)
		} else if best == nil || m.depth >= best.depth {
			best = m
		}
	}
	if best != nil && run.state&earshotHas == 0 {
		earshotTakeMark(run, best, best.key)
	}
}

//go:nosplit
func earshotOfGroup(run *earshotRun, group uint32, ofCall bool) {
	if run.state&(earshotHas|earshotSealed) != 0 {
		return
	}
	s := earshotStackOf(run.goid)
	if s == nil {
		return
	}
	var best *earshotMark
	for k := 0; k < earshotMarkLevels; k++ {
		m := earshotLevel(s, k, run.goid)
		if m != nil && m.group == group && (!ofCall || m.depth == run.depth) &&
			(best == nil || m.depth >= best.depth) {
			best = m
		}
	}
	if best != nil {
		earshotTakeMark(run, best, best.key)
	}
}

// earshotIdsAt gives the ids of the span that a point at that depth is in, as far as there is a mark of it: those of
// the trace and the span, in the order in which W3C's traceparent has them. nil: none is known.
//
//go:linkname earshotIdsAt
//go:nosplit
func earshotIdsAt(depth uintptr, ids *[3]uint64) *[3]uint64 {
	a := earshotMemory
	if a == nil || *earshotSwitch == 0 || a.marksOn == 0 || *earshotGuard == 0 {
		return nil
	}
	goid := uint64(getg().goid)
	s := earshotStackOf(goid)
	if s == nil {
		return nil
	}
	var best *earshotMark
	var key uint64
	for k := 0; k < earshotMarkLevels; k++ {
		m := earshotLevel(s, k, goid)
		if m != nil && uintptr(m.depth) <= depth && (best == nil || m.depth >= best.depth) {
			best, key = m, s.to[k].key
		}
	}
	if best == nil {
		return nil
	}
	*ids = best.ids
	earshotInOrder()
	if best.key != key {
		return nil
	}
	return ids
}

// Whether the goroutine was created within the mark: certain, or false.
//
//go:nosplit
func earshotWithin(m *earshotMark, goid uint64) bool {
	e := &m.epoch
	return e[0] != 0 && (goid > e[0] || (goid >= e[1] && goid < e[2] && e[2]-e[1] <= earshotMarkBatch))
}

//go:nosplit
func earshotByCreator(run *earshotRun, creator uint64) {
	if run.state&(earshotHas|earshotSealed) != 0 || creator == 0 {
		return
	}
	s := earshotStackOf(creator)
	if s == nil {
		return
	}
	var best *earshotMark
	for k := 0; k < earshotMarkLevels; k++ {
		m := earshotLevel(s, k, creator)
		if m != nil && earshotWithin(m, run.goid) && (best == nil || m.depth >= best.depth) {
			best = m
		}
	}
	if best != nil {
		earshotTakeMark(run, best, best.key)
	}
}

//go:nosplit
func earshotUnwound(run *earshotRun, all bool) {
	s := earshotStackOf(run.goid)
	for k := 0; s != nil && k < earshotMarkLevels; k++ {
		m := earshotLevel(s, k, run.goid)
		if m != nil && (all || m.depth > run.depth) {
			earshotCas(&m.key, s.to[k].key, 0)
		}
	}
}

// The run's mark, just begun, is on its goroutine; where there are too many, it is not.
//
//go:nosplit
func earshotPush(run *earshotRun) {
	if !earshotOwns(run) {
		return
	}
	key := earshotKeyOf(run.goid, 0)
	e, own := earshotClaim(run, earshotStackSet(run.goid), 128, key)
	if e == nil {
		return
	}
	s := (*earshotStack)(unsafe.Pointer(e))
	if !own {
		s.to = [earshotMarkLevels]earshotLink{}
	}
	k := 0
	for k < earshotMarkLevels && earshotFollow(&s.to[k]) != nil {
		k++
	}
	if k < earshotMarkLevels {
		s.to[k] = earshotLink{run.key, run.at}
	} else {
		run.count++
	}
	earshotRelease(e, key)
}

// The run's mark is found by its key from here on, and on no goroutine.
//
//go:nosplit
func earshotLeaveStack(run *earshotRun) {
	if !earshotOwns(run) || run.state&earshotKeyed == 0 {
		return
	}
	s := earshotStackOf(earshotMarkAt(run.at).goid) // not the point's, perhaps
	for k := 0; s != nil && k < earshotMarkLevels; k++ {
		if s.to[k].key == run.key {
			s.to[k].key = 0
		}
	}
}

// ---- a span begins ----

// Whether a trace is kept by its id.
//
//go:nosplit
func earshotIsChosen(id, threshold uint64) bool {
	randomness := uint64(0)
	for i := uint(8); i < 64; i += 8 {
		randomness = randomness<<8 | id>>i&0xff
	}
	return randomness >= threshold
}

//go:nosplit
func earshotDecide(run *earshotRun, plan *earshotPlan) {
	has := run.state&earshotHas != 0
	if !has {
		run.ids[0] = earshotRandom(run)
		run.ids[1] = earshotRandom(run)
	}
	if !has || (run.state&earshotHeaded != 0 && plan.flags&earshotPlanByRatio != 0) {
		run.flags = 0
		if earshotIsChosen(run.ids[1], plan.threshold) {
			run.flags = earshotSampledFlag
		}
	}
	if !has && plan.flags&earshotPlanChild != 0 {
		run.flags |= earshotUndecided
	}
}

// A free mark, busy; or one gives way. nil: others were quicker each time.
//
//go:nosplit
func earshotClaimMark(run *earshotRun, key uint64) *earshotMark {
	place := run.place
	next := key
	for tries := 0; ; tries++ {
		m := earshotMarkAt(place)
		was := m.key
		if was == 0 || (tries == earshotMarkTries && was&earshotBusy == 0) {
			if earshotCas(&m.key, was, key|earshotBusy) {
				if was != 0 {
					run.count++
				}
				run.at = place
				return m
			}
		}
		if tries == earshotMarkTries {
			return nil
		}
		next *= 0x61c88647
		place = next >> 24 % earshotMarksMax
		if tries < 12 {
			place %= 128 // so few of them lie where few are open at once
		}
	}
}

//go:nosplit
func earshotBegin(run *earshotRun, plan *earshotPlan, slots *earshotSlot) {
	earshotDecide(run, plan)
	run.ids[2] = earshotRandom(run)
	key := run.ids[2]&^earshotBusy | 2
	m := earshotClaimMark(run, key)
	if m == nil {
		run.count++
		run.state = earshotSealed
		return
	}
	m.ids = run.ids
	m.flags = run.flags
	m.group = plan.group
	m.call = plan.call
	m.goid = run.goid
	m.depth = run.depth
	m.epoch = [3]uint64{}
	m.root = run.root
	if plan.epoch != 0 {
		for k := uint8(0); k < 3; k++ {
			if s := earshotWordOf(slots, plan.epoch-1+k); s != nil {
				m.epoch[k] = s.value
			}
		}
	}
	publicationBarrier()
	m.key = key
	run.key = key
	run.state = earshotHas
	run.place = run.at
}

// ---- all of it ----

//go:nosplit
func earshotCreated(run *earshotRun, plan *earshotPlan, slots *earshotSlot) {
	if plan.flags&earshotPlanCreator == 0 || plan.creator == 0 {
		return
	}
	if s := earshotWordOf(slots, plan.creator-1); s != nil {
		earshotByCreator(run, s.value)
	}
}

// What comes in with a request says which trace it is. Otherwise the order is that of who puts spans together.
//
//go:nosplit
func earshotStartMark(run *earshotRun, plan *earshotPlan, slots *earshotSlot) {
	earshotWords(run, plan, slots, earshotByHeader, false)
	earshotWords(run, plan, slots, earshotByParent, false)
	earshotAround(run, plan)
	earshotCreated(run, plan, slots)
	if plan.flags&earshotPlanAlone != 0 && run.state&(earshotHas|earshotHeaded) == earshotHas &&
		run.flags&(earshotSampledFlag|earshotUndecided) == 0 {
		run.key = 0 // none of its own: who looks for it finds the one around it, which says the same
		return
	}
	came := run.state&earshotHeaded != 0
	earshotBegin(run, plan, slots)
	if came {
		earshotWords(run, plan, slots, earshotByState, true)
	}
	earshotWords(run, plan, slots, earshotByOwn, true)
	earshotWords(run, plan, slots, earshotCarried, true)
	earshotWords(run, plan, slots, earshotByKey, true)
	if plan.flags&earshotPlanDetached == 0 || run.state&earshotKeyed == 0 {
		earshotPush(run)
	}
}

//go:nosplit
func earshotEndMark(run *earshotRun) {
	if earshotOwns(run) {
		earshotCas(&earshotMarkAt(run.at).key, run.key, 0)
		run.place = run.at
	}
}

// Whether the point is about a span that another point's carrier leads to.
//
//go:nosplit
func earshotByCarrier(run *earshotRun, plan *earshotPlan, slots *earshotSlot) bool {
	any := false
	for i := uint8(0); i < plan.words && i < 16; i++ {
		any = any || plan.word[i].use == earshotByOther
	}
	if any {
		earshotWords(run, plan, slots, earshotByOther, false)
	}
	return any
}

//go:nosplit
func earshotOtherMark(run *earshotRun, plan *earshotPlan, slots *earshotSlot) {
	if plan.action != earshotMarkDetach && plan.action != earshotMarkTie && plan.flags&earshotPlanDetached != 0 {
		earshotWords(run, plan, slots, earshotByKey, false)
	}
	if !earshotByCarrier(run, plan, slots) {
		earshotOfGroup(run, plan.group, plan.flags&earshotPlanOfCall != 0)
		if plan.action != earshotMarkDetach && plan.action != earshotMarkTie {
			earshotCreated(run, plan, slots)
		}
	}
	switch plan.action {
	case earshotMarkDetach:
		earshotWords(run, plan, slots, earshotByKey, false)
		earshotWords(run, plan, slots, earshotByOwn, true)
		earshotWords(run, plan, slots, earshotByKey, true)
		earshotLeaveStack(run)
		if plan.flags&earshotPlanOrEnd != 0 && run.state&earshotKeyed == 0 {
			earshotEndMark(run)
		}
	case earshotMarkTie:
		earshotWords(run, plan, slots, earshotByKey, true)
	}
	earshotWords(run, plan, slots, earshotCarried, true)
	if plan.action == earshotMarkEnd {
		earshotEndMark(run)
	}
}

// What the point does with marks. False: its trace is left out.
//
//go:nosplit
func earshotMarks(r *earshotRing, gp *g, depth uintptr, plan *earshotPlan, slots *earshotSlot) bool {
	run := (*earshotRun)(unsafe.Add(unsafe.Pointer(r), earshotRunOff))
	run.state = 0
	run.goid = uint64(gp.goid)
	run.depth = uint64(depth)
	run.count = 0
	run.key = 0
	run.root.key = 0
	switch plan.action {
	case earshotMarkStart:
		earshotStartMark(run, plan, slots)
	case earshotMarkInject:
		earshotInject(run, plan, slots)
		return true
	case earshotMarkUnwind, earshotMarkExit:
		earshotUnwound(run, plan.action == earshotMarkExit)
	default:
		earshotOtherMark(run, plan, slots)
	}
	if run.count != 0 {
		earshotAdd(&earshotMemory.marksFull, run.count)
	}
	return run.state&earshotHas == 0 || run.flags&(earshotSampledFlag|earshotUndecided) != 0
}

// What a start's record has of it: the ids, in the order in which W3C's traceparent has them.
//
//go:nosplit
func earshotPutIds(r *earshotRing, plan *earshotPlan, w *earshotWire, room unsafe.Pointer, at uintptr) {
	run := (*earshotRun)(unsafe.Add(unsafe.Pointer(r), earshotRunOff))
	*w = earshotWire{}
	if run.state&earshotHas == 0 {
		return
	}
	for i := 0; i < 3; i++ {
		earshotPutWord(room, i, run.ids[i])
	}
	earshotPutWord(room, 3, uint64(run.flags|plan.idFlags))
	*w = earshotWire{status: 1, copied: 28, len: 28, value: uint64(at)}
}
