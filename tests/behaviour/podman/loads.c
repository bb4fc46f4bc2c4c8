/* Loads the libraries that it is given, by name or path, and says of each which file that was, or why not.

   Without a header and with its own start, so that one source does for glibc and for musl. */

struct link_map { unsigned long addr; char *name; };

int printf(const char *, ...);
int fflush(void *);
void *dlopen(const char *, int);
char *dlerror(void);
int dlinfo(void *, int, void *);
void *dlsym(void *, const char *);
void exit(int);
int access(const char *, int);
int __libc_start_main(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

#define RTLD_NOW 2
#define RTLD_DI_LINKMAP 2

int main(int argc, char **argv, char **environment) {
    int failed = 0;
    printf("started\n");
    for (int at = 1; at < argc; at++) {
        if (argv[at][0] == '/' && argv[at][1] == 'd' && argv[at][2] == 'e') { /* of /dev */
            printf("%s %s\n", access(argv[at], 0) ? "no" : "there", argv[at]);
            continue;
        }
        void *library = dlopen(argv[at], RTLD_NOW);
        struct link_map *map = 0;
        if (library && !dlinfo(library, RTLD_DI_LINKMAP, &map))
            printf("loaded %s%s from %s\n", dlsym(library, "old") ? "the image's own " : "", argv[at], map->name);
        else
            printf("failed %s: %s\n", argv[at], dlerror()), failed = 1;
    }
    fflush(0);
    return failed;
}

#ifdef OWN_START
__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n hlt\n");

void begin(long *stack) {
    exit(__libc_start_main(main, (int)stack[0], (char **)(stack + 1), 0, 0, 0, 0));
}
#endif
