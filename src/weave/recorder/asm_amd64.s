
// Earshot's recorder.

// func earshotDepth() uintptr
TEXT ·earshotDepth<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
	MOVQ	(g_stack+stack_hi)(R14), AX
	LEAQ	8(SP), CX
	SUBQ	CX, AX
	RET

// func earshotCreator() uint64
TEXT ·earshotCreator<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
#ifdef g_parentGoid
	MOVQ	g_parentGoid(R14), AX
#else
	MOVQ	$-1, AX
#endif
	RET

// func earshotTicks() uint64
TEXT ·earshotTicks<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
	RDTSC
	SHLQ	$32, DX
	ORQ	DX, AX
	RET

// func earshotCas(p *uint64, old, new uint64) bool
TEXT ·earshotCas<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
	MOVQ	AX, DX
	MOVQ	BX, AX
	LOCK
	CMPXCHGQ	CX, 0(DX)
	SETEQ	AX
	RET

// func earshotAdd(p *uint64, n uint64)
TEXT ·earshotAdd<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
	LOCK
	ADDQ	BX, 0(AX)
	RET

// func earshotSyscall(nr, a, b, c, d, e, f uintptr) uintptr
TEXT ·earshotSyscall<ABIInternal>(SB),NOSPLIT|NOFRAME,$0-0
	MOVQ	SI, R10
	MOVQ	DI, DX
	MOVQ	CX, SI
	MOVQ	BX, DI
	SYSCALL
	RET
