/* A scripted libnvidia-ml.so.1 for tests. Its answers are in the file named by FAKE_NVML, or else in /run/fake-nvml.
 *
 *   driver 580.95.05
 *   gpu UUID MINOR BUSID [mig]     one line a GPU, in index order
 *   mig GPU GI CI UUID             a MIG device of the GPU with that index
 *   name GPU TEXT                  default "NVIDIA H100 80GB HBM3"
 *   addressing GPU MODE            0 none, 1 HMM, 2 ATS; without it the call is not supported
 *   profile GPU GI NUMBER          the GPU instance's profile, as NVML_GPU_INSTANCE_PROFILE_* counts; default 0
 *   fail FUNCTION CODE [GPU]       that call returns CODE
 *   hang FUNCTION SECONDS          that call sleeps first
 *   number FUNCTION VALUE [GPU]    that call answers VALUE: the counts and the minor
 *   text FUNCTION GPU TEXT         that call answers TEXT, where \ooo is a byte: name, UUID (no MIG device's), version
 *   crash FUNCTION                 that call dies by SIGSEGV
 *   leave FUNCTION                 that call starts a process that stays, in a session of its own
 *   flood FUNCTION                 that call writes for ever to stdout, stderr and every pipe it finds open
 *   print TEXT                     nvmlInit prints this on stdout and stderr
 *   worst REPORT                   nvmlInit tries what it should not be able to do, reports the result of each try, and
 *                                  leaves a process behind that keeps all descriptors open
 *   count PATH                     nvmlInit appends a line there, as it does to the file named by FAKE_NVML_COUNT
 *
 * A script without `driver` and `gpu` lines adds its rules to the GPUs of /proc/driver/nvidia.
 * Between init and shutdown /dev/nvidiactl is held open, as by the real library. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, NOT_LOADED = 9 };
enum { GPUS = 64, MIGS = 256, RULES = 64, PROFILES = 0x12 };

typedef int ret;
typedef struct device {
	int index, minor, mig, addressing;
	int parent, gi, ci, profile; /* of MIG devices; parent is -1 for a GPU */
	char uuid[96], bus[32], name[96];
} *dev;

static struct device gpus[GPUS], migs[MIGS];
static int gpu_count, mig_count, opened, ctl = -1;
static char driver[80];
static struct rule {
	char kind, function[64], text[128];
	int value, gpu;
} rules[RULES];
static int rule_count;

static dev add_gpu(const char *uuid, int minor, const char *bus, int mig)
{
	dev d = &gpus[gpu_count];

	if (gpu_count == GPUS)
		return NULL;
	*d = (struct device){.index = gpu_count++, .minor = minor, .mig = mig, .addressing = -1, .parent = -1};
	snprintf(d->uuid, sizeof d->uuid, "%s", uuid);
	snprintf(d->bus, sizeof d->bus, "%s", bus);
	strcpy(d->name, "NVIDIA H100 80GB HBM3");
	return d;
}

static void add_mig(int parent, int gi, int ci, const char *uuid)
{
	dev d = &migs[mig_count];

	if (mig_count == MIGS)
		return;
	*d = (struct device){.parent = parent, .gi = gi, .ci = ci};
	for (int i = 0; i < mig_count; i++)
		d->index += migs[i].parent == parent;
	snprintf(d->uuid, sizeof d->uuid, "%s", uuid);
	mig_count++;
}

static void add_rule(char kind, const char *function, int value, int gpu)
{
	if (rule_count == RULES)
		return;
	rules[rule_count] = (struct rule){.kind = kind, .value = value, .gpu = gpu};
	snprintf(rules[rule_count++].function, 64, "%s", function);
}

/* The real library calls the setuid nvidia-modprobe to make missing nodes; this one makes them itself where it may. */
static void make_node(const char *path, int major, int minor)
{
	if (access(path, F_OK) && mknod(path, S_IFCHR | 0666, makedev(major, minor)) == 0)
		chmod(path, 0666);
}

static void gpu_of_proc(char *information, unsigned long mig)
{
	char line[512], path[64], uuid[96] = "";
	int minor = 0;
	FILE *f = fopen(information, "r");

	if (!f)
		return;
	while (fgets(line, sizeof line, f)) {
		sscanf(line, "GPU UUID: %95s", uuid);
		sscanf(line, "Device Minor: %d", &minor);
	}
	fclose(f);
	*strrchr(information, '/') = 0;
	dev d = add_gpu(uuid, minor, strrchr(information, '/') + 1, minor == 0 && mig);
	snprintf(path, sizeof path, "/dev/nvidia%d", minor);
	make_node(path, 195, minor);
	for (int gi = 1; d && d->mig && gi < 15; gi++)
		if (mig & (1ul << gi)) {
			snprintf(uuid, sizeof uuid, "MIG-11111111-0000-0000-0000-%012d", gi);
			add_mig(d->index, gi, 0, uuid);
		}
}

/* /sys/module/nvidia/parameters/mig, where a stand-in module has it, is a mask of the first GPU's instances. */
static ret machine_of_proc(void)
{
	char line[512];
	unsigned long mig = 0;
	glob_t found;
	FILE *f = fopen("/proc/driver/nvidia/version", "r");

	if (!f)
		return NOT_LOADED;
	char *version = fgets(line, sizeof line, f) ? strstr(line, "x86_64  ") : NULL;
	if (version)
		sscanf(version + 8, "%79s", driver);
	fclose(f);
	if ((f = fopen("/sys/module/nvidia/parameters/mig", "r"))) {
		if (fscanf(f, "%lx", &mig) != 1)
			mig = 0;
		fclose(f);
	}
	glob("/proc/driver/nvidia/gpus/*/information", 0, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++)
		gpu_of_proc(found.gl_pathv[i], mig);
	globfree(&found);
	make_node("/dev/nvidiactl", 195, 255);
	return OK;
}

static void count_in(const char *path)
{
	FILE *f = path && *path ? fopen(path, "a") : NULL;

	if (f) {
		fprintf(f, "nvmlInit %d\n", getpid());
		fclose(f);
	}
}

static void tried(FILE *f, const char *what, const char *on, int failed)
{
	fprintf(f, "%s %s %s\n", what, on, failed ? "refused" : "done");
}

static void worst(const char *report)
{
	static const char *const files[] = {"/run/nvml", "/run/cdi/nvml", "/run/udev/rules.d/nvml.rules", "/run/systemd/nvml",
		"/etc/nvml", "/usr/bin/nvml", "/dev/nvml", NULL};
	static const char *const folders[] = {"/run/modprobe.d", "/run/tmpfiles.d", NULL};
	static const char *const sockets[] = {"/run/systemd/private", "/run/dbus/system_bus_socket", NULL};
	FILE *f = fopen(report, "w");
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (!f)
		return;
	for (int i = 0; files[i]; i++)
		tried(f, "write", files[i], open(files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0);
	for (int i = 0; folders[i]; i++)
		tried(f, "mkdir", folders[i], mkdir(folders[i], 0700));
	for (int i = 0; sockets[i]; i++) {
		strcpy(to.sun_path, sockets[i]);
		tried(f, "connect", sockets[i], connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&to, sizeof to));
	}
	tried(f, "signal", "parent", kill(getppid(), 0));
	tried(f, "fork", "nobody", 0);
	fclose(f);
	if (!fork()) {
		setsid();
		sleep(600);
		_exit(0);
	}
}

static int described(const char *l)
{
	char a[96], b[32], c[16] = "";
	int x, y, z, n;

	if (sscanf(l, "driver %79s", driver) == 1)
		return 1;
	if (sscanf(l, "gpu %95s %d %31s %15s", a, &x, b, c) >= 3)
		return add_gpu(a, x, b, !strcmp(c, "mig")) != NULL;
	if (sscanf(l, "mig %d %d %d %95s", &x, &y, &z, a) == 4)
		add_mig(x, y, z, a);
	else if (sscanf(l, "name %d %n", &x, &n) == 1 && x >= 0 && x < gpu_count)
		snprintf(gpus[x].name, sizeof gpus[x].name, "%.*s", (int)strcspn(l + n, "\n"), l + n);
	else if (sscanf(l, "addressing %d %d", &x, &y) == 2 && x >= 0 && x < gpu_count)
		gpus[x].addressing = y;
	else if (sscanf(l, "profile %d %d %i", &x, &y, &z) == 3)
		for (int i = 0; i < mig_count; i++)
			if (migs[i].parent == x && migs[i].gi == y)
				migs[i].profile = z;
	return 0;
}

/* TEXT to the line's end, with \ooo as a byte, into the last rule. */
static void add_text(const char *text)
{
	unsigned byte, at = 0;
	char *to = rules[rule_count - 1].text;

	while (*text && *text != '\n' && at < sizeof rules->text - 1) {
		if (*text == '\\' && sscanf(text + 1, "%3o", &byte) == 1) {
			to[at++] = (char)byte;
			text += 4;
		} else {
			to[at++] = *text++;
		}
	}
}

static void ruled(const char *l)
{
	char function[64], path[256];
	int x, y, n = 0;

	if (sscanf(l, "number %63s %i %d", function, &x, &y) == 3)
		add_rule('n', function, x, y);
	else if (sscanf(l, "number %63s %i", function, &x) == 2)
		add_rule('n', function, x, -1);
	else if (sscanf(l, "text %63s %d %n", function, &x, &n) == 2 && n) {
		add_rule('t', function, 0, x);
		add_text(l + n);
	} else
	if (sscanf(l, "fail %63s %d %d", function, &x, &y) == 3)
		add_rule('f', function, x, y);
	else if (sscanf(l, "fail %63s %d", function, &x) == 2)
		add_rule('f', function, x, -1);
	else if (sscanf(l, "hang %63s %d", function, &x) == 2)
		add_rule('h', function, x, -1);
	else if (sscanf(l, "crash %63s", function) == 1)
		add_rule('c', function, 0, -1);
	else if (sscanf(l, "leave %63s", function) == 1)
		add_rule('l', function, 0, -1);
	else if (sscanf(l, "flood %63s", function) == 1)
		add_rule('w', function, 0, -1);
	else if (sscanf(l, "worst %255s", path) == 1)
		worst(path);
	else if (sscanf(l, "count %255s", path) == 1)
		count_in(path);
	else if (sscanf(l, "print %n", &n) == 0 && n)
		for (int fd = 1; fd <= 2; fd++)
			if (write(fd, l + n, strlen(l + n)) < 0)
				continue;
}

static ret load(void)
{
	const char *path = getenv("FAKE_NVML");
	FILE *f = fopen(path ? path : "/run/fake-nvml", "r");
	char line[512];
	int whole = 0;

	gpu_count = mig_count = rule_count = 0;
	strcpy(driver, "580.95.05");
	count_in(getenv("FAKE_NVML_COUNT"));
	while (f && fgets(line, sizeof line, f)) {
		whole |= described(line);
		ruled(line);
	}
	if (f)
		fclose(f);
	return whole ? OK : machine_of_proc();
}

/* A pipe is written only while it has room, so that an unread one does not stop the rest. */
static void flood(void)
{
	static char junk[4096];
	struct pollfd fds[256];
	struct stat s;
	int n = 0;

	memset(junk, '#', sizeof junk);
	for (int fd = 1; fd < 256; fd++)
		if (fstat(fd, &s) == 0 && (fd <= 2 || S_ISFIFO(s.st_mode)))
			fds[n++] = (struct pollfd){.fd = fd, .events = POLLOUT};
	while (poll(fds, n, -1) > 0)
		for (int i = 0; i < n; i++)
			if (fds[i].revents & ~POLLOUT || (fds[i].revents && write(fds[i].fd, junk, sizeof junk) < 0))
				fds[i].fd = -1;
}

static ret obey(const char *function, int gpu)
{
	for (int i = 0; i < rule_count; i++) {
		struct rule *r = &rules[i];

		if (strcmp(r->function, function) || (r->gpu >= 0 && r->gpu != gpu))
			continue;
		if (r->kind == 'f')
			return r->value;
		if (r->kind == 'h')
			sleep(r->value);
		if (r->kind == 'c')
			raise(SIGSEGV);
		if (r->kind == 'l' && fork() == 0) {
			setsid();
			for (;;)
				pause();
		}
		if (r->kind == 'w')
			flood();
	}
	return OK;
}

/* The value of a rule of that kind for a call, or NULL. */
static struct rule *scripted_answer(char kind, const char *function, int gpu)
{
	for (int i = 0; i < rule_count; i++)
		if (rules[i].kind == kind && !strcmp(rules[i].function, function) && (rules[i].gpu < 0 || rules[i].gpu == gpu))
			return &rules[i];
	return NULL;
}

static ret put_number(const char *function, int gpu, unsigned *to, unsigned value)
{
	struct rule *r = scripted_answer('n', function, gpu);

	*to = r ? (unsigned)r->value : value;
	return OK;
}

static ret put_text(const char *function, int gpu, char *to, unsigned size, const char *text)
{
	struct rule *r = scripted_answer('t', function, gpu);

	snprintf(to, size, "%s", r ? r->text : text);
	return OK;
}

#define ENTER(gpu) \
	do { \
		ret scripted = opened ? obey(__func__, gpu) : UNINITIALIZED; \
		if (scripted) \
			return scripted; \
	} while (0)

static dev gpu_of(dev d) { return d->parent < 0 ? d : &gpus[d->parent]; }
#define OF(d) (gpu_of(d)->index)

/* clang-format off: below, one line is one call of NVML */

ret nvmlInit_v2(void)
{
	ret r = load();
	if (r || (r = obey("nvmlInit_v2", -1)))
		return r;
	if (!opened++)
		ctl = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC);
	return OK;
}
ret nvmlInit(void) { return nvmlInit_v2(); }
ret nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
ret nvmlShutdown(void)
{
	if (!opened)
		return UNINITIALIZED;
	if (!--opened && ctl >= 0) {
		close(ctl);
		ctl = -1;
	}
	return OK;
}
const char *nvmlErrorString(ret r)
{
	static char s[128], usual[32];
	snprintf(usual, sizeof usual, "scripted error %d", r);
	put_text(__func__, -1, s, sizeof s, r ? usual : "Success");
	return s;
}

ret nvmlSystemGetDriverVersion(char *v, unsigned n) { ENTER(-1); return put_text(__func__, -1, v, n, driver); }
ret nvmlSystemGetNVMLVersion(char *v, unsigned n) { ENTER(-1); snprintf(v, n, "13.%s", driver); return OK; }
ret nvmlSystemGetCudaDriverVersion(int *v) { ENTER(-1); *v = 13000; return OK; }
ret nvmlSystemGetCudaDriverVersion_v2(int *v) { ENTER(-1); *v = 13000; return OK; }

ret nvmlDeviceGetCount_v2(unsigned *n) { ENTER(-1); return put_number(__func__, -1, n, gpu_count); }
ret nvmlDeviceGetCount(unsigned *n) { return nvmlDeviceGetCount_v2(n); }
ret nvmlDeviceGetHandleByIndex_v2(unsigned i, dev *d) { ENTER((int)i); if (i >= (unsigned)gpu_count) return INVALID; *d = &gpus[i]; return OK; }
ret nvmlDeviceGetHandleByIndex(unsigned i, dev *d) { return nvmlDeviceGetHandleByIndex_v2(i, d); }
ret nvmlDeviceGetHandleByUUID(const char *uuid, dev *d)
{
	ENTER(-1);
	for (int i = 0; i < gpu_count; i++)
		if (!strcmp(gpus[i].uuid, uuid))
			return *d = &gpus[i], OK;
	for (int i = 0; i < mig_count; i++)
		if (!strcmp(migs[i].uuid, uuid))
			return *d = &migs[i], OK;
	return NOT_FOUND;
}
ret nvmlDeviceGetHandleByPciBusId_v2(const char *bus, dev *d)
{
	ENTER(-1);
	for (int i = 0; i < gpu_count; i++)
		if (strcasestr(gpus[i].bus, bus) || strcasestr(bus, gpus[i].bus))
			return *d = &gpus[i], OK;
	return NOT_FOUND;
}

ret nvmlDeviceGetIndex(dev d, unsigned *i) { ENTER(OF(d)); *i = d->index; return OK; }
ret nvmlDeviceGetUUID(dev d, char *u, unsigned n) { ENTER(OF(d)); return put_text(__func__, d->parent < 0 ? d->index : -2, u, n, d->uuid); }
ret nvmlDeviceGetName(dev d, char *u, unsigned n) { ENTER(OF(d)); if (d->parent < 0) return put_text(__func__, d->index, u, n, d->name); snprintf(u, n, "%s MIG 1g.10gb", gpu_of(d)->name); return OK; }
ret nvmlDeviceGetBrand(dev d, int *b) { ENTER(OF(d)); *b = 14; return OK; }
ret nvmlDeviceGetMinorNumber(dev d, unsigned *m) { ENTER(OF(d)); if (d->parent >= 0) return INVALID; return put_number(__func__, d->index, m, d->minor); }
ret nvmlDeviceGetCudaComputeCapability(dev d, int *a, int *b) { ENTER(OF(d)); *a = 9; *b = 0; return OK; }
ret nvmlDeviceGetArchitecture(dev d, unsigned *a) { ENTER(OF(d)); *a = 9; return OK; }
ret nvmlDeviceGetPersistenceMode(dev d, int *m) { ENTER(OF(d)); *m = 1; return OK; }

struct addressing { unsigned version, value; };
ret nvmlDeviceGetAddressingMode(dev d, struct addressing *a) { ENTER(OF(d)); if (gpu_of(d)->addressing < 0) return UNSUPPORTED; a->value = gpu_of(d)->addressing; return OK; }

struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; };
ret nvmlDeviceGetPciInfo_v3(dev d, struct pci *p)
{
	ENTER(OF(d));
	memset(p, 0, sizeof *p);
	sscanf(gpu_of(d)->bus, "%x:%x:%x", &p->domain, &p->bus, &p->device);
	p->id = 0x233010de;
	p->subsystem = 0x16c110de;
	snprintf(p->bus_id, 32, "%08X:%02X:%02X.0", p->domain, p->bus, p->device);
	snprintf(p->legacy, 16, "%04X:%02X:%02X.0", p->domain & 0xffff, p->bus & 0xff, p->device & 0xff);
	return OK;
}
ret nvmlDeviceGetPciInfo_v2(dev d, struct pci *p) { return nvmlDeviceGetPciInfo_v3(d, p); }
ret nvmlDeviceGetPciInfo(dev d, struct pci *p) { return nvmlDeviceGetPciInfo_v3(d, p); }

struct memory { unsigned long long total, free, used; };
ret nvmlDeviceGetMemoryInfo(dev d, struct memory *m) { ENTER(OF(d)); m->total = m->free = 85899345920ULL; m->used = 0; return OK; }

ret nvmlDeviceGetMigMode(dev d, unsigned *c, unsigned *p) { ENTER(OF(d)); if (d->parent >= 0) return UNSUPPORTED; *c = *p = d->mig; return OK; }
ret nvmlDeviceGetMaxMigDeviceCount(dev d, unsigned *n) { ENTER(OF(d)); return put_number(__func__, OF(d), n, d->parent < 0 && d->mig ? 7 : 0); }
ret nvmlDeviceGetMigDeviceHandleByIndex(dev d, unsigned i, dev *m)
{
	ENTER(OF(d));
	for (int k = 0; k < mig_count; k++)
		if (migs[k].parent == d->index && migs[k].index == (int)i)
			return *m = &migs[k], OK;
	return NOT_FOUND;
}
ret nvmlDeviceGetDeviceHandleFromMigDeviceHandle(dev m, dev *d) { ENTER(OF(m)); if (m->parent < 0) return INVALID; *d = gpu_of(m); return OK; }
ret nvmlDeviceIsMigDeviceHandle(dev d, unsigned *m) { ENTER(OF(d)); *m = d->parent >= 0; return OK; }
ret nvmlDeviceGetGpuInstanceId(dev d, unsigned *i) { ENTER(OF(d)); if (d->parent < 0) return UNSUPPORTED; *i = d->gi; return OK; }
ret nvmlDeviceGetComputeInstanceId(dev d, unsigned *i) { ENTER(OF(d)); if (d->parent < 0) return UNSUPPORTED; *i = d->ci; return OK; }

/* Profiles: the number is what NVML_GPU_INSTANCE_PROFILE_* counts, the id is what instances and nvidia-smi show. A number
 * that no header knows has an id, too, but no information: as with a driver newer than its caller. */
static const struct profile { unsigned id, slices; const char *name; } profiles[PROFILES] = {
	{19, 1, "1g.10gb"}, {14, 2, "2g.20gb"}, {9, 3, "3g.40gb"}, {5, 4, "4g.40gb"}, {0, 7, "7g.80gb"}, {101, 8, "8g.80gb"},
	{102, 6, "6g.60gb"}, {20, 1, "1g.10gb+me"}, {103, 2, "2g.20gb+me"}, {15, 1, "1g.20gb"}, {47, 1, "1g.10gb+gfx"},
	{35, 2, "2g.20gb+gfx"}, {32, 4, "4g.40gb+gfx"}, {67, 1, "1g.10gb-me"}, {66, 2, "2g.20gb-me"}, {65, 1, "1g.10gb+me.all"},
	{64, 2, "2g.20gb+me.all"}, {104, 3, "3g.40gb+gfx"},
};
static unsigned id_of(int number) { return number >= 0 && number < PROFILES ? profiles[number].id : 1000u + number; }
static unsigned slices_of(int number) { return number >= 0 && number < PROFILES ? profiles[number].slices : 1; }

struct attributes { unsigned sms, ce, dec, enc, jpg, ofa, gi_slices, ci_slices; unsigned long long memory_mib; };
ret nvmlDeviceGetAttributes_v2(dev d, struct attributes *a)
{
	ENTER(OF(d));
	memset(a, 0, sizeof *a);
	a->gi_slices = a->ci_slices = slices_of(d->profile);
	a->sms = 16 * a->gi_slices;
	a->memory_mib = 9856ull * a->gi_slices;
	return OK;
}

struct gi_info { dev device; unsigned id, profile, start, size; };
struct ci_info { dev device; void *gi; unsigned id, profile, start, size; };
ret nvmlDeviceGetGpuInstanceById(dev d, unsigned id, void **gi)
{
	ENTER(OF(d));
	for (int k = 0; k < mig_count; k++)
		if (migs[k].parent == d->index && migs[k].gi == (int)id)
			return *gi = &migs[k], OK;
	return NOT_FOUND;
}
ret nvmlGpuInstanceGetInfo(dev m, struct gi_info *i) { ENTER(OF(m)); *i = (struct gi_info){gpu_of(m), m->gi, id_of(m->profile), 0, slices_of(m->profile)}; return OK; }
ret nvmlGpuInstanceGetComputeInstanceById(dev m, unsigned id, void **ci)
{
	ENTER(OF(m));
	for (int k = 0; k < mig_count; k++)
		if (migs[k].parent == m->parent && migs[k].gi == m->gi && migs[k].ci == (int)id)
			return *ci = &migs[k], OK;
	return NOT_FOUND;
}
ret nvmlComputeInstanceGetInfo_v2(dev m, struct ci_info *i) { ENTER(OF(m)); *i = (struct ci_info){gpu_of(m), m, m->ci, 0, 0, slices_of(m->profile)}; return OK; }
ret nvmlComputeInstanceGetInfo(dev m, struct ci_info *i) { return nvmlComputeInstanceGetInfo_v2(m, i); }

struct gi_profile { unsigned id, p2p, slices, instances, sms, ce, dec, enc, jpg, ofa; unsigned long long memory_mib; };
struct gi_profile_v2 { unsigned version, id, p2p, slices, instances, sms, ce, dec, enc, jpg, ofa; unsigned long long memory_mib; char name[96]; };
static ret gi_profile(unsigned number, struct gi_profile *i)
{
	if (number >= PROFILES)
		return INVALID;
	const struct profile *p = &profiles[number];
	*i = (struct gi_profile){.id = p->id, .slices = p->slices, .instances = 7 / p->slices, .sms = 16 * p->slices, .memory_mib = 9856ull * p->slices};
	return OK;
}
static ret gi_profile_v2(unsigned number, struct gi_profile_v2 *i)
{
	struct gi_profile p;
	if (number >= PROFILES)
		return INVALID;
	gi_profile(number, &p);
	*i = (struct gi_profile_v2){.version = i->version, .id = p.id, .slices = p.slices, .instances = p.instances, .sms = p.sms, .memory_mib = p.memory_mib};
	snprintf(i->name, sizeof i->name, "MIG %s", profiles[number].name);
	return OK;
}
ret nvmlDeviceGetGpuInstanceProfileInfo(dev d, unsigned number, struct gi_profile *i) { ENTER(OF(d)); return gi_profile(number, i); }
ret nvmlDeviceGetGpuInstanceProfileInfoV(dev d, unsigned number, struct gi_profile_v2 *i) { ENTER(OF(d)); return gi_profile_v2(number, i); }
ret nvmlDeviceGetGpuInstanceProfileInfoByIdV(dev d, unsigned id, struct gi_profile_v2 *i)
{
	ENTER(OF(d));
	for (unsigned k = 0; k < PROFILES; k++)
		if (profiles[k].id == id)
			return gi_profile_v2(k, i);
	return NOT_FOUND;
}

struct ci_profile { unsigned id, slices, instances, sms, ce, dec, enc, jpg, ofa; };
ret nvmlGpuInstanceGetComputeInstanceProfileInfo(dev m, unsigned number, unsigned engine, struct ci_profile *i)
{
	ENTER(OF(m));
	(void)engine;
	*i = (struct ci_profile){.slices = slices_of(m->profile), .instances = 1, .sms = 16 * slices_of(m->profile)};
	return number == 0 ? OK : UNSUPPORTED;
}
