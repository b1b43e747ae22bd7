/* What an executable tells of an OpenTelemetry SDK in it. */
#ifndef CMD_SDK_TEXT_H
#define CMD_SDK_TEXT_H

#include "base/buf.h"
#include "cmd/packs.h"

/*
 * "an OpenTelemetry SDK is in this program (otel 1.47.0; otelhttp, otelgrpc)": the libraries that record what spans of
 * these packs do (`sdk`), if it has them. Whether they are in use only their spans tell. False, and nothing is written,
 * where there is no SDK for traces.
 */
bool sdk_text(struct binary *b, const pack_set *packs, struct buf *out);
bool has_sdk(const struct binary *b); /* for traces */

#endif
