// A PKCS#11 library between Rekey's and the token's: it writes down each call that it passes on, and fails on purpose. What
// is to happen stands in the file AT/rule, `<kind> <ms> <passing> <times> <names …>`, and is looked up before each call.
// Built with -DREAL=<library> -DAT=<folder>.

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long word;
typedef word (*call)(word, word, word, word, word, word, word, word);
// CK_FUNCTION_LIST of PKCS#11 2.x: a version, then 68 functions.
struct list { unsigned char version[sizeof(void *)]; call at[68]; };

static struct list mine;
static const struct list *real;

static void note(const char *file, const char *line) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", AT, file);
  int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (fd < 0) return;
  dprintf(fd, "%s\n", line);
  close(fd);
}

/** The kind that this call meets, or an empty text. */
static void meet(const char *name, char *kind, int *ms) {
  char path[4096], names[2048], wanted[128];
  int passing, times, from = 0;
  kind[0] = 0;
  snprintf(path, sizeof path, "%s/rule", AT);
  FILE *file = fopen(path, "r");
  if (!file) return;
  char text[2560];
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = 0;
  char found[32];
  if (sscanf(text, "%31s %d %d %d %n", found, ms, &passing, &times, &from) != 4) return;
  snprintf(names, sizeof names, " %s ", text + from);
  snprintf(wanted, sizeof wanted, " %s ", name);
  if (!strstr(names, wanted) || times == 0) return;
  if (passing > 0) passing--;
  else {
    times--;
    strcpy(kind, found);
  }
  file = fopen(path, "w");
  if (!file) return;
  fprintf(file, "%s %d %d %d %s", found, *ms, passing, times, text + from);
  fclose(file);
}

struct attribute { word type; const unsigned char *value; word length; };

/** What a held generation would have made: CKA_ID in hex, and the label. */
static void noteHeld(const struct attribute *of, word count) {
  char id[512] = "", label[512] = "";
  for (word n = 0; n < count; n++) {
    if (of[n].type == 0x102)
      for (word at = 0; at < of[n].length && at < 250; at++) sprintf(id + 2 * at, "%02x", of[n].value[at]);
    if (of[n].type == 0x3) snprintf(label, sizeof label, "%.*s", (int)of[n].length, of[n].value);
  }
  note("held", id);
  note("held", label);
}

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

static word pass(int n, const char *name, word a, word b, word c, word d, word e, word f, word g, word h) {
  char kind[32];
  int ms = 0;
  meet(name, kind, &ms);
  if (!strcmp(kind, "hold") && !strncmp(name, "C_GenerateKey", 13)) noteHeld((const struct attribute *)c, d);
  int later = !strcmp(kind, "cutAfter") || !strcmp(kind, "holdAnswer");
  if (kind[0] && !later) note("hits", name);
  if (!strcmp(kind, "cutBefore")) die();
  if (!strcmp(kind, "hold")) for (;;) pause();
  if (!strcmp(kind, "delay")) usleep(ms * 1000);
  word answer = real->at[n](a, b, c, d, e, f, g, h);
  note("calls", name);
  if (later) note("hits", name);
  if (!strcmp(kind, "cutAfter")) die();
  if (!strcmp(kind, "holdAnswer")) for (;;) pause();
  return answer;
}

// Whatever a function takes is words and pointers, eight at most: what it does not take, it does not look at.
#define BETWEEN(n, name) \
  static word name(word a, word b, word c, word d, word e, word f, word g, word h) { \
    return pass(n, #name, a, b, c, d, e, f, g, h); \
  }
#define EACH(_) \
  _(0, C_Initialize) _(4, C_GetSlotList) _(6, C_GetTokenInfo) _(7, C_GetMechanismList) _(12, C_OpenSession) \
  _(13, C_CloseSession) _(18, C_Login) _(22, C_DestroyObject) _(24, C_GetAttributeValue) _(25, C_SetAttributeValue) \
  _(26, C_FindObjectsInit) _(27, C_FindObjects) _(28, C_FindObjectsFinal) _(29, C_EncryptInit) _(30, C_Encrypt) \
  _(33, C_DecryptInit) _(34, C_Decrypt) _(42, C_SignInit) _(43, C_Sign) _(58, C_GenerateKey) _(59, C_GenerateKeyPair)
EACH(BETWEEN)

word C_GetFunctionList(struct list **given) {
  if (!real) {
    void *library = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
    word (*get)(const struct list **) = library ? (word(*)(const struct list **))dlsym(library, "C_GetFunctionList") : 0;
    if (!get || get(&real)) return 5;
    mine = *real;
#define PUT(n, name) mine.at[n] = name;
    EACH(PUT)
  }
  *given = &mine;
  return 0;
}
