/* A stand-in for WSL's libdxcore.so: adapters and driver stores as the macros say.
 *
 * ADAPTERS       how many there are; the first has WDDM version WDDM0, every other one 3100
 * STORE          a wide text, the driver store of all of them
 * ONLY_2         there is no D3DKMTEnumAdapters3, as in older versions
 * ENUM_STATUS    what listing the adapters returns
 * STORE_STATUS   the status of the query for the driver store
 *
 * Structures as in include/uapi/misc/d3dkmthk.h of Linux' dxgkrnl driver. */
#include <stdint.h>
#include <string.h>
#include <uchar.h>

struct adapter {
	uint32_t handle, luid[2], sources, preferred;
};
struct adapters2 {
	uint32_t count;
	struct adapter *adapters;
};
struct adapters3 {
	uint64_t filter;
	uint32_t count;
	struct adapter *adapters;
};
struct query {
	uint32_t handle, type;
	void *data;
	uint32_t size;
};
struct registry {
	uint32_t type, flags;
	char16_t name[260];
	uint32_t value_type, adapter, output_size, status;
	union {
		uint64_t number;
		char16_t text[1];
	} output;
};

static int list(uint32_t *count, struct adapter *adapters)
{
	if (*count < ADAPTERS)
		return -1;
	for (uint32_t i = 0; i < ADAPTERS; i++)
		adapters[i] = (struct adapter){.handle = 0x40000000 + i};
	*count = ADAPTERS;
	return ENUM_STATUS;
}

int D3DKMTEnumAdapters2(struct adapters2 *a) { return list(&a->count, a->adapters); }
#ifndef ONLY_2
int D3DKMTEnumAdapters3(struct adapters3 *a) { return a->filter == 1 ? list(&a->count, a->adapters) : -1; }
#endif

int D3DKMTQueryAdapterInfo(const struct query *q)
{
	static const char16_t store[] = STORE;
	struct registry *r = q->data;

	if (q->type == 13 && q->size == 4) {
		*(uint32_t *)q->data = q->handle == 0x40000000 ? WDDM0 : 3100;
		return 0;
	}
	if (q->type != 48 || r->type != 2 || q->size < sizeof *r - 8 + sizeof store)
		return -1;
	r->status = STORE_STATUS;
	r->output_size = sizeof store - 2;
	memcpy(r->output.text, store, r->output_size);
	if (q->handle == 0x40000000)
		memcpy(r->output.text, u"/0", 4);
	return 0;
}
