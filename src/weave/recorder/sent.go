// What goes out with a request: the ids of its span, in the forms of enum inject_form (probe/ir.h), and the tracestate
// that came in with its trace. What is looked at before anything is written, and what is written, is as planters have it
// (plant/patch/inject.c, lend.c); but what a call is given instead of its own is made and put there by woven code, which
// has Go's memory for that.
//
// A tracestate has a place by where the mark lies that began with it. That mark links to itself, and those below it get
// its link from their parents. So it is there as long as its mark is, and nobody gives it back.

package runtime

import "unsafe"

const (
	earshotStatesMax = earshotMarksMax / 8
	earshotStateMax  = 512 // bytes of a tracestate

	earshotLine      = 0 // enum inject_form
	earshotField     = 1
	earshotFrame     = 2
	earshotMessage   = 3
	earshotRecordOf  = 4
	earshotBlockMax  = 16384
	earshotFrameHead = 9
	earshotLoanMax   = 4096

	earshotWritten    = 0 // enum inject_outcome
	earshotPresent    = 1
	earshotNoSpan     = 3
	earshotUnexpected = 4
	earshotTooLarge   = 5
	earshotNoRoom     = 6

	earshotStateWritten = 1 << 8 // enum inject_state, in an outcome
	earshotStatePresent = 2 << 8
	earshotStateNoRoom  = 3 << 8
	earshotStateTooLong = 4 << 8
)

type earshotState struct {
	key, at uint64 // of its mark, likewise; 0: free
	len     uint64 // more than earshotStateMax: that was too long
	text    [earshotStateMax]uint8
	_       uint64
}

// struct tracestate_rules
type earshotRules struct {
	class [256]uint8
	step  [64]uint8
}

const (
	_ = uint(544 - unsafe.Sizeof(earshotState{}))
	_ = uint(unsafe.Sizeof(earshotState{}) - 544)
)

// ---- tracestates ----

//go:nosplit
func earshotStateAt(mark uint64) *earshotState {
	return (*earshotState)(unsafe.Add(unsafe.Pointer(earshotMemory), earshotStatesOff+544*(uintptr(mark)%earshotStatesMax)))
}

// By the table of plant/tracestate.h.
//
//go:nosplit
func earshotIsState(text unsafe.Pointer, n uintptr) bool {
	rules := (*earshotRules)(unsafe.Add(unsafe.Pointer(earshotMemory), earshotRulesOff))
	state, count, members := uint8(0), 0, 0
	for i := uintptr(0); i < n; i++ {
		step := rules.step[state<<3|rules.class[*(*uint8)(unsafe.Add(text, i))]&7]
		if step&8 != 0 {
			count = 0
		}
		if step&16 != 0 {
			count++
		}
		if step&32 != 0 && count > 256 {
			return false
		}
		if step&64 != 0 {
			members++
		}
		state = step & 7
	}
	return state == 4 && members <= 32
}

// What came in with the header that the run's mark, just begun, is below; the first of some spellings.
//
//go:nosplit
func earshotKeepState(run *earshotRun, text unsafe.Pointer, n uintptr) {
	if !earshotOwns(run) || run.root.key != 0 || n == 0 || (n <= earshotStateMax && !earshotIsState(text, n)) {
		return
	}
	place := earshotStateAt(run.at)
	was := place.key
	owner := earshotLink{was, place.at}
	if was&earshotBusy != 0 || earshotFollow(&owner) != nil || !earshotCas(&place.key, was, run.key|earshotBusy) {
		run.count++
		return
	}
	place.at = run.at
	place.len = uint64(n)
	if n <= earshotStateMax {
		memmove(unsafe.Pointer(&place.text), text, n)
	}
	publicationBarrier()
	place.key = run.key
	run.root = earshotLink{run.key, run.at}
	earshotMarkAt(run.at).root = run.root
}

// ---- a trace context in what is sent ----

// What an inject takes: slots in this order (probe/bind/print_point.c). The texts of the buffer and of what is filled are
// where they lie; the value of the latter is how much of it is filled, and its text where that is counted. For what a call
// is given instead of its own, filled is memory that is large enough, and block becomes how much of it was written.
type earshotInjected struct {
	carrier, form, needs, against, buffer, filled, block, stream, state earshotSlot
}

//go:nosplit
func earshotPutHex(at unsafe.Pointer, word uint64, bytes uintptr) {
	for i := uintptr(0); i < 2*bytes; i++ {
		*(*uint8)(unsafe.Add(at, i)) = "0123456789abcdef"[word>>(8*(i/2)+4*(1-i%2))&15]
	}
}

//go:nosplit
func earshotPutText(at unsafe.Pointer, text string) {
	for i := 0; i < len(text); i++ {
		*(*uint8)(unsafe.Add(at, i)) = text[i]
	}
}

// The bytes at that place are that text; small: in either case of its letters.
//
//go:nosplit
func earshotIsText(at unsafe.Pointer, text string, small uint8) bool {
	for i := 0; i < len(text); i++ {
		if *(*uint8)(unsafe.Add(at, i))|small != text[i]|small {
			return false
		}
	}
	return true
}

// A traceparent: 55 bytes.
//
//go:nosplit
func earshotPutParent(run *earshotRun, at unsafe.Pointer) {
	earshotPutText(at, "00-")
	earshotPutHex(unsafe.Add(at, 3), run.ids[0], 8)
	earshotPutHex(unsafe.Add(at, 19), run.ids[1], 8)
	*(*uint8)(unsafe.Add(at, 35)) = '-'
	earshotPutHex(unsafe.Add(at, 36), run.ids[2], 8)
	*(*uint8)(unsafe.Add(at, 52)) = '-'
	earshotPutHex(unsafe.Add(at, 53), uint64(run.flags&earshotSampledFlag), 1)
}

//go:nosplit
func earshotBigEndian(at unsafe.Pointer) uint64 {
	b := (*[4]uint8)(at)
	return uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
}

// How many bytes a traceparent is with all that goes with it.
//
//go:nosplit
func earshotInjectBytes(s *earshotInjected) uint64 {
	if s.form.value == earshotLine {
		return 70
	}
	return 69
}

// Of a block of headers: how large it is.
//
//go:nosplit
func earshotBlockBytes(s *earshotInjected) uint64 {
	if s.form.value == earshotFrame {
		return s.block.value
	}
	return s.filled.value
}

// A whole HEADERS frame of that stream and block, neither padded nor with a priority, is the last thing there.
//
//go:nosplit
func earshotIsFrame(s *earshotInjected, end unsafe.Pointer) bool {
	block := s.block.value
	if block > s.filled.value || s.filled.value-block < earshotFrameHead {
		return false
	}
	head := unsafe.Add(end, -int(block)-earshotFrameHead)
	return earshotBigEndian(head) == block<<8|1 && *(*uint8)(unsafe.Add(head, 4))&0x2c == 4 &&
		earshotBigEndian(unsafe.Add(head, 5)) == s.stream.value
}

// Whether it can follow on what is filled. Nothing is written before that is certain.
//
//go:nosplit
func earshotFits(s *earshotInjected) uint64 {
	filled, bytes := s.filled.value, earshotInjectBytes(s)
	if *(*uint64)(s.filled.text) != filled || filled > s.buffer.value || filled < 2 {
		return earshotUnexpected
	}
	end := unsafe.Add(s.buffer.text, uintptr(filled))
	begin := "Tracepar"
	if s.form.value != earshotLine {
		begin = "\x00\x0btracep"
	}
	if filled >= bytes && earshotIsText(unsafe.Add(end, -int(bytes)), begin, 0) {
		return earshotPresent
	}
	if (s.form.value == earshotLine && !earshotIsText(unsafe.Add(end, -2), "\r\n", 0)) ||
		(s.form.value == earshotFrame && !earshotIsFrame(s, end)) {
		return earshotUnexpected
	}
	if s.form.value != earshotLine && earshotBlockBytes(s) > earshotBlockMax-bytes {
		return earshotTooLarge
	}
	if s.buffer.value-filled < bytes {
		return earshotNoRoom
	}
	return earshotWritten
}

// What stands in front of a tracestate of n bytes: how much that is.
//
//go:nosplit
func earshotStateHead(s *earshotInjected, at unsafe.Pointer, n uintptr) uintptr {
	if s.form.value == earshotLine {
		earshotPutText(at, "Tracestate: ")
		return 12
	}
	earshotPutText(at, "\x00\x0atracestate")
	if n < 127 {
		*(*uint8)(unsafe.Add(at, 12)) = uint8(n)
		return 13
	}
	*(*uint8)(unsafe.Add(at, 12)) = 127
	if n -= 127; n < 128 {
		*(*uint8)(unsafe.Add(at, 13)) = uint8(n)
		return 14
	}
	*(*uint8)(unsafe.Add(at, 13)) = uint8(n) | 128
	*(*uint8)(unsafe.Add(at, 14)) = uint8(n >> 7)
	return 15
}

// How many bytes a tracestate of n is with all that goes with it.
//
//go:nosplit
func earshotStateBytes(s *earshotInjected, n uint64) uint64 {
	switch {
	case s.form.value == earshotLine:
		return n + 14
	case n < 127:
		return n + 13
	case n < 127+128:
		return n + 14
	}
	return n + 15
}

// The tracestate that came in with the run's trace goes behind what is filled, if there is room for both: its bytes.
//
//go:nosplit
func earshotPutState(run *earshotRun, s *earshotInjected) uint64 {
	run.said = 0
	if s.state.status != 1 || s.state.value == 0 || earshotFollow(&run.root) == nil {
		return 0
	}
	place := earshotStateAt(run.root.at)
	if place.key != run.root.key {
		return 0
	}
	earshotInOrder()
	n, bytes := place.len, earshotInjectBytes(s)
	all := earshotStateBytes(s, n)
	switch {
	case s.state.value == 2:
		run.said = earshotStatePresent
		return 0
	case n > earshotStateMax:
		run.said = earshotStateTooLong
		return 0
	case s.buffer.value-s.filled.value-bytes < all,
		s.form.value != earshotLine && earshotBlockBytes(s)+all > earshotBlockMax-bytes:
		run.said = earshotStateNoRoom
		return 0
	}
	at := unsafe.Add(s.buffer.text, uintptr(s.filled.value))
	at = unsafe.Add(at, earshotStateHead(s, at, uintptr(n)))
	memmove(at, unsafe.Pointer(&place.text), uintptr(n))
	if s.form.value == earshotLine {
		earshotPutText(unsafe.Add(at, uintptr(n)), "\r\n")
	}
	earshotInOrder()
	if place.key != run.root.key { // another's meanwhile
		return 0
	}
	run.said = earshotStateWritten
	return all
}

// The length comes last.
//
//go:nosplit
func earshotAppend(run *earshotRun, s *earshotInjected) {
	state := earshotPutState(run, s)
	filled, bytes := s.filled.value, earshotInjectBytes(s)
	at := unsafe.Add(s.buffer.text, uintptr(filled+state))
	if s.form.value == earshotLine {
		earshotPutText(at, "Traceparent: ")
		earshotPutParent(run, unsafe.Add(at, 13))
		earshotPutText(unsafe.Add(at, 68), "\r\n")
	} else {
		earshotPutText(at, "\x00\x0btraceparent\x37")
		earshotPutParent(run, unsafe.Add(at, 14))
	}
	if s.form.value == earshotFrame {
		block := s.block.value
		head := unsafe.Add(s.buffer.text, uintptr(filled-block-earshotFrameHead))
		block += bytes + state
		*(*[3]uint8)(head) = [3]uint8{uint8(block >> 16), uint8(block >> 8), uint8(block)}
	}
	*(*uint64)(s.filled.text) = filled + bytes + state
}

// What the program gives to the call as headers of a message, at the buffer: whether a line can follow on it.
//
//go:nosplit
func earshotFitsMessage(s *earshotInjected) uint64 {
	n, at := uintptr(s.buffer.value), s.buffer.text
	if n == 0 {
		if at != nil {
			return earshotUnexpected
		}
		return earshotWritten
	}
	if n < 12 {
		return earshotUnexpected
	}
	if n > earshotLoanMax-70 {
		return earshotTooLarge
	}
	if !earshotIsText(at, "NATS/1.0", 0) || !earshotIsText(unsafe.Add(at, n-4), "\r\n\r\n", 0) {
		return earshotUnexpected
	}
	for i := uintptr(8); i+13 <= n; i++ {
		if *(*uint8)(unsafe.Add(at, i)) == '\n' && earshotIsText(unsafe.Add(at, i+1), "traceparent:", 0x20) {
			return earshotPresent
		}
	}
	return earshotWritten
}

// They are copied to where the new ones go, with one line more; how much that is the program is told.
//
//go:nosplit
func earshotPutMessage(run *earshotRun, s *earshotInjected) {
	n, at := uintptr(s.buffer.value), s.filled.text
	if n == 0 {
		earshotPutText(at, "NATS/1.0\r\n")
		n = 12
	} else {
		memmove(at, s.buffer.text, n)
	}
	at = unsafe.Add(at, n-2)
	earshotPutText(at, "Traceparent: ")
	earshotPutParent(run, unsafe.Add(at, 13))
	earshotPutText(unsafe.Add(at, 68), "\r\n\r\n")
	s.block.value = uint64(n) + 70
}

// The span that is asked for by a carrier, if what it needs is there; what is lent to a call is first that of the call's
// goroutine.
//
//go:nosplit
func earshotFindSent(run *earshotRun, plan *earshotPlan, s *earshotInjected) {
	if plan.group != 0 {
		around := (*[8]uint32)(unsafe.Pointer(&plan.word))
		for i := uint8(0); i < plan.words && i < 8; i++ {
			earshotOfGroup(run, around[i], false)
		}
		earshotOfGroup(run, plan.group, false)
	}
	if s.needs.value != 0 {
		if m, _ := earshotMarkOf(earshotOfCarrier, s.needs.value); m == nil {
			run.state |= earshotSealed
		}
	}
	earshotFindByKey(run, earshotOfCarrier, s.carrier.value, false)
}

// The ids of the span that has put the carrier down go into what is sent; the first slot says what came of it, as planters'
// IR_INJECT and IR_LEND do. Where its condition did not hold, it stays as it is.
//
//go:nosplit
func earshotInject(run *earshotRun, plan *earshotPlan, slots *earshotSlot) {
	s := (*earshotInjected)(unsafe.Add(unsafe.Pointer(slots), 24*uintptr(plan.inject-1)))
	said := &s.carrier
	if said.status != 1 {
		return
	}
	if s.against.status != 1 || s.against.value != 0 {
		said.status, said.value = s.against.status, s.against.value
		return
	}
	earshotFindSent(run, plan, s)
	said.value = earshotNoSpan
	if s.buffer.status != 1 || s.filled.status != 1 || s.block.status != 1 || s.stream.status != 1 {
		said.status = 5 // SLOT_UNREADABLE
		return
	}
	if run.state&earshotHas == 0 {
		return
	}
	switch s.form.value {
	case earshotMessage:
		said.value = earshotFitsMessage(s)
		if said.value == earshotWritten {
			earshotPutMessage(run, s)
		}
	case earshotRecordOf:
		said.value = earshotWritten
		earshotPutParent(run, s.filled.text)
		s.block.value = 55
	default:
		said.value = earshotFits(s)
		if said.value == earshotWritten {
			earshotAppend(run, s)
			said.value = run.said
		}
	}
}
