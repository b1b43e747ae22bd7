// The recorder: what woven code of every package calls, by linkname. It is compiled into package runtime.
//
// Records go into rings in a memory file that this process makes and that an earshot of the same user opens through
// /proc/PID/fd. Its layout is plant/woven/area.h of earshot's source, and plant/ring/ring.h, which tell how rings and
// chunks work; what is here must agree with them.
//
// The switch, a word in that memory, is 0 while nobody listens, else the number of the session. Woven code compares it
// with the word "off" of its point, which is the session in which the point is not wanted, or 0 where it does not know
// better. So there is one comparison before each point, whether nobody listens or somebody wants something else.
//
// All that is done on behalf of a point is nosplit: package runtime is not preempted asynchronously, so the P does not
// change until the record is complete, and nobody else writes to its ring. The reader ends a session by the switch,
// then a barrier for all threads, then it waits until no slot is busy.
//
// Of package runtime this needs only g, m, p, sched.goidgen, memmove, nanotime, publicationBarrier and gogetenv.

package runtime

import "unsafe"

// The reader's side has these sizes, too.
const (
	_ = uint(760 - unsafe.Sizeof(earshotArea{}))
	_ = uint(unsafe.Sizeof(earshotArea{}) - 760)
	_ = uint(640 - unsafe.Offsetof(earshotArea{}.session))
	_ = uint(unsafe.Offsetof(earshotArea{}.session) - 640)
	_ = uint(64 - unsafe.Offsetof(earshotRing{}.read))
	_ = uint(unsafe.Offsetof(earshotRing{}.read) - 64)
)

const (
	earshotMagic      = 0x33574145 // "EAW3"
	earshotHead       = 4096       // bytes for earshotArea
	earshotWantedMax  = 1 << 14
	earshotChunkShift = 17
	earshotChunk      = 1 << earshotChunkShift
	earshotChunks     = 1024
	earshotChunksOn   = 64 // that are there from the beginning when the environment switches on
	earshotTableOff   = 4096
	earshotTallyOff   = earshotTableOff + 4*earshotChunks
	earshotSlotBytes  = earshotTallyOff + 32*earshotWantedMax
	earshotLeastProcs = 8
	earshotMostProcs  = 256
	earshotExtraSlots = 8
	earshotStaleNs    = 10000000000

	earshotContextsOff = earshotHead
	earshotContextsMax = 1 << 16
	earshotFactsOff    = earshotContextsOff + earshotContextsMax
	earshotFactsMax    = 1 << 10
	earshotWantedOff   = earshotFactsOff + 16*earshotFactsMax
	earshotLinksOff    = earshotWantedOff + 32*earshotWantedMax
	earshotPlansOff    = earshotLinksOff + 4*earshotChunks
	earshotMarksOff    = earshotPlansOff + 64*earshotPlansMax
	earshotStacksOff   = earshotMarksOff + 128*earshotMarksMax
	earshotNamesOff    = earshotStacksOff + 128*earshotMarksMax
	earshotRulesOff    = earshotNamesOff + 32*earshotNamesMax
	earshotStatesOff   = earshotRulesOff + 320
	earshotSlotsOff    = (earshotStatesOff + 544*earshotStatesMax + 4095) &^ 4095

	earshotVersion   = 3 // of the records
	earshotMaxSlots  = 48
	earshotMaxString = 4096
	earshotMaxData   = 32 << 10
	earshotHeader    = 48
	earshotIDBytes   = 32 // struct event_context, padded
	earshotEpochs    = 64
)

type earshotPoint struct {
	off   uint32
	kind  uint32
	state uint64 // the session in the upper half, in the lower one where in the table it is, from 1; 0: not wanted
	key   uint64
	text  string
}

type earshotSlot struct {
	text   unsafe.Pointer
	value  uint64
	status uint32
	kind   uint32
}

type earshotArea struct {
	magic, size                        uint32
	on, target                         uint32
	procs, extra                       uint32
	slotBytes, chunks                  uint32
	tableLen, _                        uint32
	slotsOff, linksOff, bytes, poolOff uint64
	free                               [2]uint64
	heartbeat, stale                   uint64
	ringFull                           uint64
	lost                               [earshotEpochs]uint64
	clock, canTSC                      uint32
	pid                                uint64
	session, all                       uint32 // a cache line of its own
	wantedLen, fresh                   uint32
	wantedOff                          uint64
	sessions, thrownAway               uint32
	chunksOn                           uint64
	contextsOff                        uint64
	contexts, facts                    uint32
	factsOff                           uint64
	noRoom                             uint64
	plansOff, marksOff                 uint64
	marks, marksOn                     uint32
	marksFull                          uint64
	seed                               [2]uint64
}

type earshotWanted struct {
	key         uint64
	every, plan uint32
	lost, busy  uint64
}

type earshotRing struct {
	write, limit, toChunk uint64
	busy                  uint64
	records               uint64
	_                     [3]uint64
	read                  uint64
}

type earshotTally struct {
	phase, leftOut, starts, others uint64
}

var (
	earshotZero uint32 // what the switch is where nobody can turn it
	//go:linkname earshotSwitch
	earshotSwitch = &earshotZero

	earshotMemory *earshotArea
	earshotGuard  *uint32 // 0 in a child that was forked: the memory is its parent's
	earshotProcs  uint32
	earshotExtra  uint32

	earshotName   = [...]byte{'e', 'a', 'r', 's', 'h', 'o', 't', '-', 'w', 'o', 'v', 'e', 'n', 0}
	earshotSource = [...]byte{'/', 's', 'y', 's', '/', 'd', 'e', 'v', 'i', 'c', 'e', 's', '/', 's', 'y', 's', 't', 'e', 'm', '/',
		'c', 'l', 'o', 'c', 'k', 's', 'o', 'u', 'r', 'c', 'e', '/', 'c', 'l', 'o', 'c', 'k', 's', 'o', 'u', 'r', 'c', 'e', '0', '/',
		'c', 'u', 'r', 'r', 'e', 'n', 't', '_', 'c', 'l', 'o', 'c', 'k', 's', 'o', 'u', 'r', 'c', 'e', 0}
)

// The machine's: asm_*.s.

//go:linkname earshotDepth
func earshotDepth() uintptr // stack.hi - SP of the caller
func earshotTicks() uint64
func earshotCreator() uint64 // g.parentGoid; ^0 where g has no such field

//go:noescape
func earshotCas(p *uint64, old, new uint64) bool

//go:noescape
func earshotAdd(p *uint64, n uint64)
func earshotSyscall(nr, a, b, c, d, e, f uintptr) uintptr

// ---- for woven code ----

//go:linkname earshotPanic
//go:nosplit
func earshotPanic() uintptr {
	return uintptr(unsafe.Pointer(getg()._panic))
}

// earshotWrite writes the record of a point. Whether it was written.
//
//go:linkname earshotWrite
//go:nosplit
func earshotWrite(p *earshotPoint, depth uintptr, slots *earshotSlot, n int) bool {
	return earshotRecord(getg(), depth, p, slots, n)
}

// earshotWriteFor does it for another goroutine than the running one, whose stack pointer is sp.
//
//go:nosplit
func earshotWriteFor(gp *g, sp uintptr, p *earshotPoint, slots *earshotSlot, n int) bool {
	return earshotRecord(gp, gp.stack.hi-sp, p, slots, n)
}

//go:nosplit
func earshotFact(slots *earshotSlot, i int, value uint64) {
	*(*earshotSlot)(unsafe.Add(unsafe.Pointer(slots), 24*i)) = earshotSlot{value: value, status: 1}
}

// earshotLineage fills two slots: which goroutine has created the current one, and with which function it began.
//
//go:linkname earshotLineage
//go:nosplit
func earshotLineage(slots *earshotSlot) {
	creator := earshotCreator()
	earshotFact(slots, 0, creator)
	if creator == ^uint64(0) {
		slots.status = 5 // SLOT_UNREADABLE
	}
	earshotFact(slots, 1, uint64(getg().startpc))
}

// earshotEpoch fills three: which ids the goroutines can have that are created from now on.
//
//go:linkname earshotEpoch
//go:nosplit
func earshotEpoch(slots *earshotSlot) {
	pp := getg().m.p.ptr()
	earshotFact(slots, 0, *(*uint64)(unsafe.Pointer(&sched.goidgen)))
	earshotFact(slots, 1, pp.goidcache)
	earshotFact(slots, 2, pp.goidcacheend)
}

// ---- what is read in the program's file ----

// earshotKnown tells a number that a package cannot know in Go: where another one's type is, or its field, by the key of
// what stands in the point's text. 0: nobody has told it.
//
//go:linkname earshotKnown
//go:nosplit
func earshotKnown(key uint64) uint64 {
	a := earshotMemory
	if a == nil {
		return 0
	}
	n := uintptr(a.facts)
	if n == 0 || n > earshotFactsMax || n&(n-1) != 0 {
		return 0
	}
	for i := uintptr(0); i < n; i++ {
		f := (*[2]uint64)(unsafe.Add(unsafe.Pointer(a), earshotFactsOff+16*((uintptr(key)+i)&(n-1))))
		if f[0] == key {
			return f[1]
		}
		if f[0] == 0 {
			break
		}
	}
	return 0
}

// ---- chains of contexts ----

// What the types of contexts keep where: the reader's (plant/contexts.h), which reads it in the program's file.
type earshotContexts struct {
	low, high, itabType, _ uint64
	mask, spanKey, spans   uint64
	_                      uint64
}

type earshotContext struct {
	rtype                       uint64
	offset, via                 uint32
	parent, link, pooled, value uint8
	_                           [12]uint8
}

type earshotSpanType struct {
	rtype                               uint64
	ids, remote, kind, tracer, scope, _ uint32
}

const (
	earshotContextsHead = 64 // bytes before the first place
	earshotTableHead    = 32 // of these, bytes of the table, from which it counts

	earshotChainRoot       = 0 // enum event_chain_end
	earshotChainUnknown    = 1
	earshotChainTooLong    = 2
	earshotChainUnreadable = 3
)

//go:nosplit
func earshotWord(at uint64) uint64 {
	return *(*uint64)(unsafe.Pointer(uintptr(at)))
}

//go:nosplit
func earshotPutWord(room unsafe.Pointer, i int, word uint64) {
	*(*uint64)(unsafe.Add(room, 8*i)) = word
}

// The table, once it is complete.
//
//go:nosplit
func earshotTable() *earshotContexts {
	a := earshotMemory
	if a == nil || a.contexts < earshotContextsHead || a.contexts > earshotContextsMax {
		return nil
	}
	return (*earshotContexts)(unsafe.Add(unsafe.Pointer(a), earshotContextsOff))
}

// What is known of a type; nil: it is none of a context's.
//
//go:nosplit
func earshotFindContext(t *earshotContexts, rtype uint64) *earshotContext {
	at := uintptr(earshotContextsHead + rtype*0x61c88647>>24&t.mask)
	for ; at+32 <= uintptr(earshotMemory.contexts); at += 32 {
		c := (*earshotContext)(unsafe.Add(unsafe.Pointer(t), at))
		if c.rtype == rtype {
			return c
		}
		if c.rtype == 0 {
			break
		}
	}
	return nil
}

//go:nosplit
func earshotFindSpan(t *earshotContexts, rtype uint64) *earshotSpanType {
	for at := uintptr(earshotTableHead + t.spans); at+32 <= uintptr(earshotMemory.contexts); at += 32 {
		s := (*earshotSpanType)(unsafe.Add(unsafe.Pointer(t), at))
		if s.rtype == rtype {
			return s
		}
		if s.rtype == 0 {
			break
		}
	}
	return nil
}

// A span of an SDK as struct event_chain_span, from word n of the room on.
//
//go:nosplit
func earshotPutSpan(s *earshotSpanType, room unsafe.Pointer, n int, object uint64, link int) {
	for i := 0; i < 4; i++ {
		earshotPutWord(room, n+i, earshotWord(object+uint64(s.ids)+8*uint64(i)))
	}
	earshotPutWord(room, n+4, uint64(*(*uint8)(unsafe.Pointer(uintptr(object + uint64(s.remote))))))
	if s.kind != 0 {
		earshotPutWord(room, n+5, earshotWord(object+uint64(s.kind)))
	}
	if s.tracer != 0 {
		if tracer := earshotWord(object + uint64(s.tracer)); tracer != 0 {
			earshotPutWord(room, n+6, earshotWord(tracer+uint64(s.scope)))
			earshotPutWord(room, n+7, earshotWord(tracer+uint64(s.scope)+8))
		}
	}
	earshotPutWord(room, n+8, uint64(link))
	earshotPutWord(room, n+9, object)
}

// earshotChain follows a context towards its root, and makes struct event_chain of it in slot.text, which is all zeros
// and has room for the links, the end and a span. Whatever lies on the way is alive by the context; its fields are read
// by their places, as the reader knows them from the file.
//
//go:linkname earshotChain
//go:nosplit
func earshotChain(slot *earshotSlot, context interface{}, links int) {
	slot.status = 5 // SLOT_UNREADABLE
	t := earshotTable()
	if t == nil {
		return
	}
	words := (*[2]uint64)(unsafe.Pointer(&context))
	slot.value = 8 * uint64(earshotWalk(t, slot.text, words[0], words[1], links))
	slot.kind = 1
	slot.status = 1
}

// How many words it has put into the room.
//
//go:nosplit
func earshotWalk(t *earshotContexts, room unsafe.Pointer, rtype, data uint64, links int) int {
	var span *earshotSpanType
	var object uint64
	n, spanLink, end := 0, 0, uint64(earshotChainRoot)
	pooled := uint64(0)
	for rtype != 0 && data != 0 {
		c := earshotFindContext(t, rtype)
		if c == nil {
			end = earshotChainUnknown
			break
		}
		if c.link != 0 {
			if data&7 != 0 {
				end = earshotChainUnreadable
				break
			}
			if n == links {
				end = earshotChainTooLong
				break
			}
			pooled |= uint64(c.pooled)
			earshotPutWord(room, n, data|pooled)
			n++
		}
		if c.parent < 2 { // CONTEXT_ROOT, CONTEXT_UNKNOWN
			end = uint64(c.parent)
			break
		}
		if c.parent == 3 { // CONTEXT_VIA
			data = earshotWord(data + uint64(c.via))
			if data == 0 {
				break
			}
		}
		at := data + uint64(c.offset)
		if c.value != 0 && object == 0 && earshotWord(at+16) == t.spanKey {
			if span = earshotFindSpan(t, earshotWord(at+32)); span != nil {
				object = earshotWord(at + 40)
				spanLink = n
			}
		}
		itab := earshotWord(at)
		data = earshotWord(at + 8)
		if itab == 0 {
			break
		}
		if itab < t.low || itab >= t.high-t.itabType-8 {
			end = earshotChainUnreadable
			break
		}
		rtype = earshotWord(itab + t.itabType)
	}
	earshotPutWord(room, n, end)
	if object == 0 {
		return n + 1
	}
	earshotPutSpan(span, room, n+1, object, spanLink)
	return n + 11
}

// ---- records ----

//go:nosplit
func earshotRecord(gp *g, depth uintptr, p *earshotPoint, slots *earshotSlot, n int) bool {
	session := *earshotSwitch
	if session == 0 {
		p.off = 0
		return false
	}
	if *earshotGuard == 0 {
		earshotLeave(p)
		return false
	}
	state := p.state
	if uint32(state>>32) != session {
		state = earshotFind(p, session)
	}
	if uint32(state) == 0 || uint(n) > earshotMaxSlots {
		return false
	}
	index := uintptr(uint32(state) - 1)
	r, tally := earshotAcquire(session, index)
	if r == nil {
		return false
	}
	wanted := earshotWantedAt(index)
	written := false
	plan := earshotPlanAt(wanted.plan)
	if plan == nil {
		if earshotSampled(wanted, tally) {
			written = earshotPut(r, gp, depth, index, slots, n, nil)
			if !written {
				earshotLose(gp, &wanted.lost)
			}
		}
	} else {
		written = earshotMarked(r, gp, depth, index, slots, n, plan)
	}
	publicationBarrier()
	r.busy = 0
	return written
}

// A point that leads to marks, or leaves one: then its end has to come, too.
//
//go:nosplit
func earshotMarked(r *earshotRing, gp *g, depth, index uintptr, slots *earshotSlot, n int, plan *earshotPlan) bool {
	wanted, tally := earshotWantedAt(index), earshotTallyAt(r, index)
	if !earshotMarks(r, gp, depth, plan, slots) {
		if plan.action == earshotMarkStart {
			tally.starts++
			return (*earshotRun)(unsafe.Add(unsafe.Pointer(r), earshotRunOff)).key != 0
		}
		tally.others++
		return false
	}
	if plan.action != earshotMarkStart {
		plan = nil // its record has no ids
	}
	if earshotSampled(wanted, tally) && !earshotPut(r, gp, depth, index, slots, n, plan) {
		earshotLose(gp, &wanted.lost)
	}
	return true
}

//go:nosplit
func earshotTallyAt(r *earshotRing, index uintptr) *earshotTally {
	return (*earshotTally)(unsafe.Add(unsafe.Pointer(r), earshotTallyOff+32*index))
}

// A forked child: nobody listens here.
//
//go:nosplit
func earshotLeave(p *earshotPoint) {
	// without a write barrier: it may not be allowed here, and this is no memory of the heap
	*(*uintptr)(unsafe.Pointer(&earshotSwitch)) = uintptr(unsafe.Pointer(&earshotZero))
	p.off = 0
}

//go:nosplit
func earshotWantedAt(index uintptr) *earshotWanted {
	return (*earshotWanted)(unsafe.Add(unsafe.Pointer(earshotMemory), earshotWantedOff+32*index))
}

// What is wanted of a point in this session: the first time that it comes by. Several goroutines may do so at once.
//
//go:nosplit
func earshotFind(p *earshotPoint, session uint32) uint64 {
	a := earshotMemory
	n := uintptr(a.wantedLen)
	state := uint64(session) << 32
	if n > earshotWantedMax || n&(n-1) != 0 {
		n = 0
	}
	at := uintptr(p.key)
	for i := uintptr(0); i < n; i++ {
		index := (at + i) & (n - 1)
		w := earshotWantedAt(index)
		key := w.key
		if key == 0 && a.all != 0 && earshotCas(&w.key, 0, p.key) {
			key = p.key
			w.every = 1
		}
		if key != p.key {
			key = w.key // it may have been another goroutine's, of this very point
		}
		if key == p.key {
			if w.every != 0 || a.all != 0 {
				state |= uint64(index + 1)
			}
			break
		}
		if key == 0 {
			break
		}
	}
	if uint32(state) == 0 {
		if a.all != 0 {
			earshotAdd(&a.noRoom, 1)
		}
		p.off = session
	}
	p.state = state
	return state
}

// A ring that nobody else writes to until busy is 0 again, and what is counted there of the point. nil: none is free
// (counted), or the session has ended.
//
//go:nosplit
func earshotAcquire(session uint32, index uintptr) (*earshotRing, *earshotTally) {
	pp := getg().m.p.ptr()
	slot := uint32(earshotMostProcs)
	if pp != nil {
		slot = uint32(pp.id)
	}
	var r *earshotRing
	if slot < earshotProcs {
		r = earshotRingAt(slot)
	}
	if r != nil && r.busy == 0 {
		r.busy = 1
	} else {
		r = earshotAcquireExtra()
		if r == nil {
			earshotAdd(&earshotWantedAt(index).busy, 1)
			return nil, nil
		}
	}
	// The reader has set the switch to 0, passed a barrier of all threads, and then waits for busy.
	if *earshotSwitch != session {
		r.busy = 0
		return nil, nil
	}
	return r, earshotTallyAt(r, index)
}

//go:nosplit
func earshotRingAt(slot uint32) *earshotRing {
	return (*earshotRing)(unsafe.Add(unsafe.Pointer(earshotMemory), earshotSlotsOff+uintptr(slot)*earshotSlotBytes))
}

//go:nosplit
func earshotAcquireExtra() *earshotRing {
	for i := uint32(0); i < earshotExtra; i++ {
		r := earshotRingAt(earshotProcs + i)
		if r.busy == 0 && earshotCas(&r.busy, 0, 1) {
			return r
		}
	}
	return nil
}

// Every Nth of a slot's.
//
//go:nosplit
func earshotSampled(w *earshotWanted, t *earshotTally) bool {
	every := w.every
	if every == 1 {
		return true
	}
	if every == 0 { // found by one goroutine while another puts it in; or not wanted any more: the session will end
		return earshotMemory.all != 0
	}
	if t.phase == 0 {
		t.phase = uint64(every) - 1
		return true
	}
	if t.phase >= uint64(every) {
		t.phase = uint64(every) - 1
	}
	t.phase--
	t.leftOut++
	return false
}

//go:nosplit
func earshotLose(gp *g, lost *uint64) {
	a := earshotMemory
	earshotAdd(lost, 1)
	earshotAdd(&a.ringFull, 1)
	earshotAdd(&a.lost[uint64(gp.goid)%earshotEpochs], 1)
}

//go:nosplit
func earshotNow() uint64 {
	if earshotMemory.clock != 0 {
		return earshotTicks()
	}
	return uint64(nanotime())
}

// How much of a text is copied, of which there is still room for that much.
//
//go:nosplit
func earshotCopied(s *earshotSlot, room uintptr) uintptr {
	if s.kind == 0 || s.status != 1 || s.text == nil {
		return 0
	}
	n := uintptr(s.value)
	if n > earshotMaxString {
		n = earshotMaxString
	}
	if n > room {
		n = room
	}
	return n
}

type earshotEntry struct {
	size, kind     uint32
	record         uint32 // the record's size
	version, event uint8
	slots          uint16
	probe, target  uint32
	time           uint64
	goid, depth    uint64
	chunks, missed uint32
}

type earshotWire struct { // struct event_slot
	status, _ uint8
	copied    uint16
	len       uint32
	value     uint64
}

// The record itself, with the ids of its mark where there is a plan. False: there is no room.
//
//go:nosplit
func earshotPut(r *earshotRing, gp *g, depth, index uintptr, slots *earshotSlot, n int, plan *earshotPlan) bool {
	size := earshotHeader + 16*uintptr(n)
	room := uintptr(earshotMaxData)
	if plan != nil {
		size += 16 + earshotIDBytes
		room -= earshotIDBytes
	}
	for i := 0; i < n; i++ {
		c := (earshotCopied((*earshotSlot)(unsafe.Add(unsafe.Pointer(slots), 24*i)), room) + 7) &^ 7
		size += c
		room -= c
	}
	if r.write+uint64(size)+8 > r.limit && !earshotRefill(r, uint64(size)+8) {
		return false
	}
	a := earshotMemory
	e := (*earshotEntry)(unsafe.Pointer(uintptr(r.write + r.toChunk)))
	e.size = uint32(size) + 8
	e.kind = uint32(a.lost[uint64(gp.goid)%earshotEpochs]) << 1
	e.record = uint32(size)
	e.version = earshotVersion
	e.event = 0
	e.slots = uint16(n)
	e.probe = uint32(index)
	e.target = a.target
	e.goid = uint64(gp.goid)
	e.depth = uint64(depth)
	e.chunks = 0
	e.missed = 0
	at := unsafe.Add(unsafe.Pointer(e), 8+earshotHeader)
	data := earshotHeader + 16*uintptr(n)
	room = earshotMaxData
	if plan != nil {
		e.slots++
		data += 16
		earshotPutIds(r, plan, (*earshotWire)(unsafe.Add(at, 16*n)), unsafe.Add(unsafe.Pointer(e), 8+data), data)
		data += earshotIDBytes
		room -= earshotIDBytes
	}
	for i := 0; i < n; i++ {
		s := (*earshotSlot)(unsafe.Add(unsafe.Pointer(slots), 24*i))
		w := (*earshotWire)(unsafe.Add(at, 16*i))
		c := earshotCopied(s, room)
		w.status = uint8(s.status)
		w.copied = uint16(c)
		w.len = 0
		w.value = s.value
		if s.kind != 0 && s.status == 1 {
			earshotText(e, s, w, c, data)
			c = (c + 7) &^ 7
			data += c
			room -= c
		}
	}
	e.time = earshotNow()
	publicationBarrier()
	r.write += uint64(size) + 8
	r.records++
	return true
}

//go:nosplit
func earshotText(e *earshotEntry, s *earshotSlot, w *earshotWire, copied, data uintptr) {
	if s.value > 1<<32-1 {
		w.len = 1<<32 - 1
	} else {
		w.len = uint32(s.value)
	}
	if uint64(copied) < s.value {
		w.status = 2 // SLOT_CUT
	}
	w.value = uint64(uintptr(s.text))
	if copied != 0 {
		w.value = uint64(data)
		memmove(unsafe.Add(unsafe.Pointer(e), 8+data), s.text, copied)
	}
}

// ---- chunks ----

// The rest of the segment becomes padding, also when there will be no other chunk: this one comes back only once it was
// read to its end.
//
//go:nosplit
func earshotRefill(r *earshotRing, need uint64) bool {
	a := earshotMemory
	if rest := r.limit - r.write; rest != 0 {
		e := (*earshotEntry)(unsafe.Pointer(uintptr(r.write + r.toChunk)))
		e.size = uint32(rest)
		e.kind = 1
		publicationBarrier()
		r.write = r.limit
	}
	if int64(earshotNow()-a.heartbeat) > int64(a.stale) {
		earshotStale(r)
		return false
	}
	number := earshotTake(a, 0)
	if number == 0 {
		number = earshotTake(a, 1)
	}
	if number == 0 || need > earshotChunk {
		return false
	}
	table := unsafe.Add(unsafe.Pointer(r), earshotTableOff)
	*(*uint32)(unsafe.Add(table, 4*(uintptr(r.write>>earshotChunkShift)%earshotChunks))) = number
	r.limit = r.write + earshotChunk
	pool := uint64(uintptr(unsafe.Pointer(a))) + earshotSlotsOff + uint64(earshotProcs+earshotExtra)*earshotSlotBytes
	r.toChunk = pool + uint64(number-1)<<earshotChunkShift - r.write
	return true
}

// A chunk that is ours now, from that stack; 0: it is empty. Only the reader puts any there.
//
//go:nosplit
func earshotTake(a *earshotArea, stack int) uint32 {
	for {
		top := a.free[stack]
		number := uint32(top)
		if number-1 >= earshotChunks {
			return 0
		}
		next := *(*uint32)(unsafe.Add(unsafe.Pointer(a), earshotLinksOff+4*uintptr(number-1)))
		if earshotCas(&a.free[stack], top, (top>>32+1)<<32|uint64(next)) {
			return number
		}
	}
}

// Whoever listened is gone: switches off, and gives the memory of the records back. A reader that comes now waits for
// this slot.
//
//go:nosplit
func earshotStale(r *earshotRing) {
	a := earshotMemory
	was := uint64(a.session) | uint64(a.all)<<32
	if uint32(was) == 0 || !earshotCas((*uint64)(unsafe.Pointer(&a.session)), was, 0) {
		return
	}
	a.on = 0
	a.fresh = 0
	a.thrownAway = uint32(was)
	pool := uintptr(unsafe.Pointer(a)) + earshotSlotsOff + uintptr(earshotProcs+earshotExtra)*earshotSlotBytes
	earshotSyscall(earshotNr(28, 233), pool, earshotChunks*earshotChunk, 9, 0, 0, 0) // madvise MADV_REMOVE
	marks := uintptr(unsafe.Pointer(a)) + earshotMarksOff
	earshotSyscall(earshotNr(28, 233), marks, earshotSlotsOff-earshotMarksOff, 9, 0, 0, 0)
}

// ---- the beginning ----

//go:nosplit
func earshotNr(amd64, arm64 uintptr) uintptr {
	if GOARCH == "arm64" {
		return arm64
	}
	return amd64
}

func earshotFailed(r uintptr) bool {
	return r > ^uintptr(4095)
}

// Its limit of that resource, if there is one, stands in the way: a process that goes beyond gets a signal.
func earshotLimited(resource uintptr) bool {
	var limit [2]uint64
	r := earshotSyscall(earshotNr(302, 261), 0, resource, 0, uintptr(unsafe.Pointer(&limit)), 0, 0) // prlimit64
	return earshotFailed(r) || limit[0] != 1<<64-1
}

func earshotCPUs() uint32 {
	var mask [128]uint64
	r := earshotSyscall(earshotNr(204, 123), 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)), 0, 0, 0)
	n := uint32(0)
	if earshotFailed(r) {
		return 0
	}
	for i := 0; i < len(mask); i++ {
		for m := mask[i]; m != 0; m &= m - 1 {
			n++
		}
	}
	return n
}

// A page that the kernel wipes in a child that is forked.
func earshotMakeGuard() *uint32 {
	p := earshotSyscall(earshotNr(9, 222), 0, 4096, 3, 0x22, ^uintptr(0), 0)
	if earshotFailed(p) {
		return nil
	}
	if earshotFailed(earshotSyscall(earshotNr(28, 233), p, 4096, 18, 0, 0, 0)) { // MADV_WIPEONFORK, Linux 4.14
		earshotSyscall(earshotNr(11, 215), p, 4096, 0, 0, 0, 0)
		return nil
	}
	guard := (*uint32)(unsafe.Pointer(p))
	*guard = 1
	return guard
}

// The memory file, and where it is mapped; its descriptor stays open, or nobody of the same user could open it, and
// out of the way: the program's own begin where they always did.
func earshotMakeFile(bytes uintptr) (uintptr, uintptr) {
	fd := earshotSyscall(earshotNr(319, 279), uintptr(unsafe.Pointer(&earshotName)), 11, 0, 0, 0, 0) // memfd_create
	if earshotFailed(fd) {                                                                           // MFD_NOEXEC_SEAL is of Linux 6.3
		fd = earshotSyscall(earshotNr(319, 279), uintptr(unsafe.Pointer(&earshotName)), 3, 0, 0, 0, 0)
	}
	if earshotFailed(fd) {
		return 0, 0
	}
	if high := earshotSyscall(earshotNr(72, 25), fd, 1030, 100, 0, 0, 0); !earshotFailed(high) { // F_DUPFD_CLOEXEC
		earshotSyscall(earshotNr(3, 57), fd, 0, 0, 0, 0, 0)
		fd = high
	}
	p := ^uintptr(0)
	if !earshotFailed(earshotSyscall(earshotNr(77, 46), fd, bytes, 0, 0, 0, 0)) &&
		!earshotFailed(earshotSyscall(earshotNr(285, 47), fd, 0, 0, earshotHead, 0, 0)) &&
		!earshotFailed(earshotSyscall(earshotNr(72, 25), fd, 1033, 7, 0, 0, 0)) { // F_ADD_SEALS: its size stays
		p = earshotSyscall(earshotNr(9, 222), 0, bytes, 3, 1, fd, 0)
	}
	if earshotFailed(p) {
		earshotSyscall(earshotNr(3, 57), fd, 0, 0, 0, 0, 0)
		return 0, 0
	}
	earshotSyscall(earshotNr(28, 233), p, bytes, 16, 0, 0, 0) // MADV_DONTDUMP
	return fd, p
}

// earshotInit makes the shared memory. Where it cannot, nobody can switch on, and nothing else happens.
func earshotInit() {
	mode := gogetenv("EARSHOT_RECORD")
	if mode == "never" || earshotLimited(1) || earshotLimited(9) { // RLIMIT_FSIZE, RLIMIT_AS
		return
	}
	procs := earshotCPUs()
	if procs < earshotLeastProcs {
		procs = earshotLeastProcs
	}
	if procs > earshotMostProcs {
		procs = earshotMostProcs
	}
	area := uintptr(earshotSlotsOff) + uintptr(procs+earshotExtraSlots)*earshotSlotBytes
	guard := earshotMakeGuard()
	if guard == nil {
		return
	}
	fd, p := earshotMakeFile(area + earshotChunks*earshotChunk)
	if p == 0 {
		earshotSyscall(earshotNr(11, 215), uintptr(unsafe.Pointer(guard)), 4096, 0, 0, 0, 0)
		return
	}
	a := (*earshotArea)(unsafe.Pointer(p))
	a.size = uint32(unsafe.Sizeof(*a))
	a.procs = procs
	a.extra = earshotExtraSlots
	a.slotBytes = earshotSlotBytes
	a.chunks = earshotChunks
	a.tableLen = earshotChunks
	a.slotsOff = earshotSlotsOff
	a.linksOff = earshotLinksOff
	a.bytes = uint64(area)
	a.poolOff = uint64(area)
	a.wantedOff = earshotWantedOff
	a.contextsOff = earshotContextsOff
	a.factsOff = earshotFactsOff
	a.plansOff = earshotPlansOff
	a.marksOff = earshotMarksOff
	a.marks = earshotMarksMax
	a.pid = uint64(earshotSyscall(earshotNr(39, 172), 0, 0, 0, 0, 0, 0))
	var tsc uint32
	if GOARCH == "amd64" && !earshotFailed(earshotSyscall(157, 25, uintptr(unsafe.Pointer(&tsc)), 0, 0, 0, 0)) && tsc == 1 {
		a.canTSC = 1 // prctl PR_GET_TSC: reading it is no signal
	}
	earshotMemory = a
	earshotGuard = guard
	earshotProcs = procs
	earshotExtra = earshotExtraSlots
	on, reader := earshotAsked(mode)
	if on {
		earshotStart(a, fd)
	}
	publicationBarrier()
	a.magic = earshotMagic // from here on a reader changes it
	earshotSwitch = &a.session
	if reader != 0 {
		earshotWait(a, reader)
	}
}

// "on", or "on:PID": that process will listen, so a program that ends at once should not have ended before it does.
func earshotAsked(mode string) (on bool, reader uintptr) {
	if len(mode) < 2 || mode[:2] != "on" || (len(mode) > 2 && mode[2] != ':') {
		return false, 0
	}
	for i := 3; i < len(mode); i++ {
		if mode[i] < '0' || mode[i] > '9' || reader > 1<<30 {
			return true, 0
		}
		reader = reader*10 + uintptr(mode[i]-'0')
	}
	return true, reader
}

// Until it listens, or is gone, or a second has passed.
func earshotWait(a *earshotArea, reader uintptr) {
	moment := [2]int64{0, 10000000}
	for i := 0; i < 100 && a.fresh != 0; i++ {
		if earshotSyscall(earshotNr(62, 129), reader, 0, 0, 0, 0, 0) == ^uintptr(2) { // kill: ESRCH
			return
		}
		fresh := uintptr(unsafe.Pointer(&a.fresh))
		earshotSyscall(earshotNr(202, 98), fresh, 0, 1, uintptr(unsafe.Pointer(&moment)), 0, 0) // futex FUTEX_WAIT
	}
}

// Whether the kernel itself takes the time-stamp counter for its clock.
func earshotClockIsTSC() bool {
	var text [8]byte
	fd := earshotSyscall(earshotNr(257, 56), ^uintptr(99), uintptr(unsafe.Pointer(&earshotSource)), 0x80000, 0, 0, 0)
	if earshotFailed(fd) {
		return false
	}
	n := earshotSyscall(earshotNr(0, 63), fd, uintptr(unsafe.Pointer(&text)), 8, 0, 0, 0)
	earshotSyscall(earshotNr(3, 57), fd, 0, 0, 0, 0, 0)
	return n == 4 && text[0] == 't' && text[1] == 's' && text[2] == 'c' && text[3] == '\n'
}

// The environment wants all to be recorded before anybody listens: with memory of our own, until it is full.
func earshotStart(a *earshotArea, fd uintptr) {
	have := !earshotFailed(earshotSyscall(earshotNr(285, 47), fd, 0, earshotWantedOff, earshotSlotsOff-earshotWantedOff, 0, 0)) &&
		!earshotFailed(earshotSyscall(earshotNr(285, 47), fd, 0, uintptr(a.poolOff), earshotChunksOn*earshotChunk, 0, 0))
	for i := uint32(0); i < a.procs+a.extra && have; i++ {
		at := uintptr(earshotSlotsOff) + uintptr(i)*earshotSlotBytes
		have = !earshotFailed(earshotSyscall(earshotNr(285, 47), fd, 0, at, earshotTallyOff, 0, 0))
	}
	if !have {
		return
	}
	links := unsafe.Add(unsafe.Pointer(a), earshotLinksOff)
	for i := uintptr(0); i < earshotChunksOn-1; i++ {
		*(*uint32)(unsafe.Add(links, 4*i)) = uint32(i + 2)
	}
	a.free[0] = 1
	a.chunksOn = earshotChunksOn
	a.wantedLen = earshotWantedMax
	a.stale = earshotStaleNs
	if a.canTSC != 0 && earshotClockIsTSC() {
		a.clock = 1
		a.stale = 4 * earshotStaleNs // whatever its rate, some seconds
	}
	a.heartbeat = earshotNow()
	a.fresh = 1
	a.all = 1
	a.sessions = 1
	a.on = 1
	publicationBarrier()
	a.session = 1
}
