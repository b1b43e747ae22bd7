/* In which forms a trace context is written into what the observed program sends. */
#ifndef PROBE_INJECT_FORM_H
#define PROBE_INJECT_FORM_H

/*
 * What IR_INJECT writes. The bytes go behind what is filled, at a moment when nothing of it can have been sent, and the
 * library counts and sends them as its own.
 */
enum inject_form {
	INJECT_LINE,   /* a header line of HTTP/1, if what is filled ends with one */
	INJECT_FIELD,  /* a field of a header block of HTTP/2: literal, not indexed, not compressed */
	INJECT_FRAME,  /* such a field in the HEADERS frame that is the last thing filled: its length grows as well */
	INJECT_FORMS,
	/* Of IR_LEND: the headers of a message of NATS, a line each behind its first one. Where there are none
	 * (address and length are 0) they begin with our one */
	INJECT_MESSAGE = INJECT_FORMS,
	/* A record of Kafka: a struct, whose pointer the call is given, with its list of headers (a text and a
	 * []byte each). What the copy points to the program keeps by the record itself */
	INJECT_RECORD,
	INJECT_ALL_FORMS
};
#define INJECT_LINE_BYTES 70
#define INJECT_FIELD_BYTES 69
#define INJECT_FRAME_HEAD 9
/* What they begin with. The first 8 bytes tell that another observer has written one there already. */
#define INJECT_LINE_NAME "Traceparent: 00-"
#define INJECT_FIELD_NAME "\0\x0btraceparent\x37" "00-"
#define INJECT_MESSAGE_BYTES 82 /* that a message's headers become longer by, at most */
#define INJECT_MESSAGE_NAME "NATS/1.0" /* that headers of a message begin with; then CR LF, or a status */
#define INJECT_NAME "traceparent"     /* the program's own is looked for in any case of the letters */
#define INJECT_RECORD_HEADERS 90      /* of a record that woven code adds one to; where memory is lent it decides */
#define INJECT_WOVEN_SLOTS 9          /* that the recorder of a woven program takes it from */
#define INJECT_HEADER_BYTES 40        /* of an element of a record's list: a text, then a []byte */
/*
 * In front of the traceparent goes the tracestate of the run's mark, if it is wanted (INJECT_STATE) and if both fit. So
 * the traceparent is what another observer sees.
 */
#define INJECT_STATE_LINE "Tracestate: "
#define INJECT_STATE_FIELD "\0\x0atracestate"
#define INJECT_BLOCK_MAX 16384 /* of a header block with the field in it: the least frame that peers must allow */
enum inject_state_wanted { INJECT_STATE_UNWANTED, INJECT_STATE_WANTED, INJECT_STATE_THERE /* the program has one */ };

#endif
