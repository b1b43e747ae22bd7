
// Earshot's recorder.

// func earshotDepth() uintptr
TEXT ·earshotDepth<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
	MOVD	(g_stack+stack_hi)(g), R0
	MOVD	RSP, R1
	SUB	R1, R0
	RET

// func earshotCreator() uint64
TEXT ·earshotCreator<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
#ifdef g_parentGoid
	MOVD	g_parentGoid(g), R0
#else
	MOVD	$-1, R0
#endif
	RET

// func earshotTicks() uint64
TEXT ·earshotTicks<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
	MOVD	ZR, R0
	RET

// func earshotCas(p *uint64, old, new uint64) bool
TEXT ·earshotCas<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
again:
	LDAXR	(R0), R3
	CMP	R1, R3
	BNE	differs
	STLXR	R2, (R0), R4
	CBNZ	R4, again
	MOVD	$1, R0
	RET
differs:
	MOVD	ZR, R0
	RET

// func earshotAdd(p *uint64, n uint64)
TEXT ·earshotAdd<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
again:
	LDAXR	(R0), R2
	ADD	R1, R2
	STLXR	R2, (R0), R3
	CBNZ	R3, again
	RET

// func earshotLoads()
TEXT ·earshotLoads<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
	DMB	$0xd	// LD
	RET

// func earshotSyscall(nr, a, b, c, d, e, f uintptr) uintptr
TEXT ·earshotSyscall<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
	MOVD	R0, R8
	MOVD	R1, R0
	MOVD	R2, R1
	MOVD	R3, R2
	MOVD	R4, R3
	MOVD	R5, R4
	MOVD	R6, R5
	SVC
	RET
