/* charset.c -- text in any charset to UTF-8, as it comes in pieces; the binding rille.host.charset.
 * Model:  labels mean what the WHATWG Encoding Standard says; those that it does not have go to iconv(3). A
 *         byte order mark at the start goes before the label, and is no part of the text. What is invalid
 *         becomes U+FFFD: of UTF-8 as that standard says, of others a unit of the charset at a time. UTF-8
 *         and windows-1252 are done here.
 * Owner:  the Decoder userdata has the descriptor of iconv; collected, it closes it. What is incomplete at
 *         the end of a piece waits in it for the next one.
 * Errors: an unknown label gives nil; bytes are never an error. */
#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "box.h"
#include "lib.h"

#define DECODER "rille.Decoder"
#define REPLACEMENT "\xEF\xBF\xBD"

enum { MAX_LABEL = 40, MAX_REST = 16, ROOM = 4096 };

enum kind {
  RAW, /* nobody has said: as it comes */
  UTF8,
  WINDOWS_1252,
  BY_ICONV
};

struct decoder {
  enum kind kind;
  iconv_t cd;          /* of BY_ICONV; else (iconv_t)-1 */
  size_t unit;         /* bytes that are skipped of what is invalid */
  bool begun;          /* the byte order mark was looked for */
  size_t kept;         /* bytes in rest */
  char rest[MAX_REST]; /* of a character that is not complete */
};

/* --- labels --- */

static const struct {
  const char *name;   /* for iconv */
  const char *labels; /* each with a blank before and behind */
} charsets[] = {
    {"UTF-8", " utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8 "},
    {"CP1252", " ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 "
               "iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252 "},
    {"UTF-16LE", " csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le "},
    {"UTF-16BE", " unicodefffe utf-16be "},
    {"UTF-32LE", " utf-32 utf-32le "},
    {"GB18030", " chinese csgb2312 csiso58gb231280 gb18030 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk "},
    {"BIG5-HKSCS", " big5 big5-hkscs cn-big5 csbig5 x-x-big5 "},
    {"CP932", " csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis "},
    {"EUC-JP", " cseucpkdfmtjapanese euc-jp x-euc-jp "},
    {"CP949", " cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 "
              "ksc_5601 windows-949 "},
    {"CP1254", " cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 "
               "latin5 windows-1254 x-cp1254 "},
    {"CP874", " dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874 "},
    {"ISO-8859-8", " csiso88598e csiso88598i hebrew iso-8859-8 iso-8859-8-e iso-8859-8-i logical visual "},
    {"CP866", " 866 cp866 csibm866 ibm866 "},
    {"KOI8-R", " cskoi8r koi koi8 koi8-r koi8_r "},
    {"KOI8-U", " koi8-ru koi8-u "},
    {"MACINTOSH", " csmacintosh mac macintosh x-mac-roman "},
    {"MAC-CYRILLIC", " x-mac-cyrillic x-mac-ukrainian "},
    {"CP1250", " x-cp1250 "},
    {"CP1251", " x-cp1251 "},
    {"CP1253", " x-cp1253 "},
    {"CP1255", " x-cp1255 "},
    {"CP1256", " x-cp1256 "},
    {"CP1257", " x-cp1257 "},
    {"CP1258", " x-cp1258 "},
    {NULL, " char internal wchar_t "}, /* the program's own, for glibc */
};

/* Copies a label in lower case, with a blank before and behind. False if it cannot be one: a slash or a comma
 * would mean something to iconv_open. */
static bool copy_label(const char *label, size_t length, char *out) {
  if (length == 0 || length > MAX_LABEL)
    return false;
  *out++ = ' ';
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)label[i];
    if (c >= 0x80 || c == '\0' || !(isalnum(c) || strchr("-_.:+", c) != NULL))
      return false;
    *out++ = (char)tolower(c);
  }
  memcpy(out, " ", 2);
  return true;
}

/* The name that iconv has for a label; NULL if there is none. */
static const char *find_name(const char *label, size_t length, char padded[static MAX_LABEL + 3]) {
  if (!copy_label(label, length, padded))
    return NULL;
  for (size_t i = 0; i < sizeof charsets / sizeof charsets[0]; i++)
    if (strstr(charsets[i].labels, padded) != NULL)
      return charsets[i].name;
  padded[length + 1] = '\0';
  return padded + 1;
}

/* True if iconv, or this file, has the charset; the decoder reads it from here on. */
static bool choose(struct decoder *d, const char *name) {
  d->unit = strncasecmp(name, "UTF-16", 6) == 0 || strncasecmp(name, "UCS-2", 5) == 0   ? 2
            : strncasecmp(name, "UTF-32", 6) == 0 || strncasecmp(name, "UCS-4", 5) == 0 ? 4
                                                                                        : 1;
  if (strcmp(name, "UTF-8") == 0) {
    d->kind = UTF8;
  } else if (strcmp(name, "CP1252") == 0) {
    d->kind = WINDOWS_1252;
  } else {
    iconv_t cd = iconv_open("UTF-8", name);
    if (cd == (iconv_t)-1)
      return false;
    if (d->cd != (iconv_t)-1)
      (void)iconv_close(d->cd);
    d->cd = cd;
    d->kind = BY_ICONV;
  }
  return true;
}

/* --- decoding: each takes [p, p + n), and returns how many bytes at its end are not complete --- */

/* The bytes of the character at p; 0 if it is cut by the end; -k if k bytes are no character. */
static int utf8_length(const unsigned char *p, size_t n) {
  unsigned char least = 0x80, most = 0xBF;
  int more = p[0] < 0xE0 ? 1 : p[0] < 0xF0 ? 2 : 3;
  if (p[0] < 0x80)
    return 1;
  if (p[0] < 0xC2 || p[0] > 0xF4)
    return -1;
  if (p[0] == 0xE0 || p[0] == 0xF0)
    least = p[0] == 0xE0 ? 0xA0 : 0x90;
  if (p[0] == 0xED || p[0] == 0xF4)
    most = p[0] == 0xED ? 0x9F : 0x8F;
  for (int i = 1; i <= more; i++) {
    if ((size_t)i >= n)
      return 0;
    if (p[i] < least || p[i] > most)
      return -i;
    least = 0x80;
    most = 0xBF;
  }
  return more + 1;
}

/* True if the eight bytes at p are ASCII. */
static bool is_ascii(const char *p) {
  uint64_t bytes;
  memcpy(&bytes, p, sizeof bytes);
  return (bytes & UINT64_C(0x8080808080808080)) == 0;
}

/* The length of the valid beginning. */
static size_t utf8_valid(const char *p, size_t n) {
  size_t i = 0;
  while (i < n) {
    if (n - i >= 8 && is_ascii(p + i)) {
      i += 8;
      continue;
    }
    int length = utf8_length((const unsigned char *)p + i, n - i);
    if (length <= 0)
      break;
    i += (size_t)length;
  }
  return i;
}

static size_t decode_utf8(luaL_Buffer *b, const char *p, size_t n) {
  while (n > 0) {
    size_t valid = utf8_valid(p, n);
    luaL_addlstring(b, p, valid);
    p += valid;
    n -= valid;
    if (n == 0)
      break;
    int length = utf8_length((const unsigned char *)p, n);
    if (length == 0)
      return n;
    luaL_addstring(b, REPLACEMENT);
    p += -length;
    n -= (size_t)-length;
  }
  return 0;
}

static const unsigned short windows_1252[32] = {
    0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178};

static size_t decode_windows_1252(luaL_Buffer *b, const char *p, size_t n) {
  for (const char *end = p + n; p < end; p++) {
    unsigned c = (unsigned char)*p;
    if (c >= 0x80 && c < 0xA0)
      c = windows_1252[c - 0x80];
    if (c < 0x80) {
      luaL_addchar(b, (char)c);
    } else if (c < 0x800) {
      luaL_addchar(b, (char)(0xC0 | c >> 6));
      luaL_addchar(b, (char)(0x80 | (c & 0x3F)));
    } else {
      luaL_addchar(b, (char)(0xE0 | c >> 12));
      luaL_addchar(b, (char)(0x80 | (c >> 6 & 0x3F)));
      luaL_addchar(b, (char)(0x80 | (c & 0x3F)));
    }
  }
  return 0;
}

static size_t decode_iconv(struct decoder *d, luaL_Buffer *b, const char *p, size_t n) {
  char *in = (char *)p; /* iconv does not write there */
  while (n > 0) {
    char text[ROOM], *out = text;
    size_t room = sizeof text;
    size_t result = iconv(d->cd, &in, &n, &out, &room);
    int err = result == (size_t)-1 ? errno : 0;
    (void)decode_utf8(b, text, (size_t)(out - text)); /* glibc passes surrogates of UCS-4 on */
    if (err == EINVAL && n < MAX_REST)
      return n;
    if (err == EILSEQ || err == EINVAL) {
      size_t skipped = n < d->unit ? n : d->unit;
      luaL_addstring(b, REPLACEMENT);
      in += skipped;
      n -= skipped;
    }
  }
  return 0;
}

/* Adds what iconv still holds of a charset whose characters depend on the next one. */
static void flush_iconv(struct decoder *d, luaL_Buffer *b) {
  char text[MAX_REST * 4], *out = text;
  size_t room = sizeof text;
  (void)iconv(d->cd, NULL, NULL, &out, &room);
  (void)decode_utf8(b, text, (size_t)(out - text));
}

/* --- the object --- */

/* Looks for a byte order mark. Its length; -1 if more bytes would tell. */
static int look_for_mark(struct decoder *d, const char *p, size_t n, bool over) {
  static const struct {
    const char *mark;
    const char *name;
  } marks[] = {{"\xEF\xBB\xBF", "UTF-8"}, {"\xFF\xFE", "UTF-16LE"}, {"\xFE\xFF", "UTF-16BE"}};
  for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
    size_t length = strlen(marks[i].mark);
    if (memcmp(p, marks[i].mark, n < length ? n : length) != 0)
      continue;
    if (n >= length && choose(d, marks[i].name))
      return (int)length;
    if (n < length && !over)
      return -1;
  }
  return 0;
}

static void keep(struct decoder *d, const char *p, size_t n) {
  if (n > 0)
    memcpy(d->rest, p, n);
  d->kept = n;
}

/* Pushes the text of the string on top of the stack; with `over` there is no more. */
static int push_text(lua_State *L, struct decoder *d, bool over) {
  size_t n;
  const char *p = lua_tolstring(L, -1, &n);
  if (!d->begun && n > 0) {
    int mark = look_for_mark(d, p, n, over);
    if (mark < 0) {
      keep(d, p, n);
      lua_pushliteral(L, "");
      return 1;
    }
    d->begun = true;
    p += mark;
    n -= (size_t)mark;
    if (mark > 0) {
      lua_pushlstring(L, p, n);
      p = lua_tostring(L, -1);
    }
  }
  d->kept = 0;
  if (d->kind == RAW || (d->kind == UTF8 && utf8_valid(p, n) == n))
    return 1; /* the string itself */
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  size_t left = d->kind == UTF8           ? decode_utf8(&b, p, n)
                : d->kind == WINDOWS_1252 ? decode_windows_1252(&b, p, n)
                                          : decode_iconv(d, &b, p, n);
  if (!over)
    keep(d, p + n - left, left);
  else if (left > 0)
    luaL_addstring(&b, REPLACEMENT);
  if (over && d->kind == BY_ICONV)
    flush_iconv(d, &b);
  luaL_pushresult(&b);
  return 1;
}

/* decoder:decode(text [, over]) -> UTF-8, without what is not complete; with `over` there is no more */
static int l_decode(lua_State *L) {
  struct decoder *d = luaL_checkudata(L, 1, DECODER);
  luaL_checktype(L, 2, LUA_TSTRING);
  bool over = lua_toboolean(L, 3) != 0;
  lua_settop(L, 2);
  if (d->kept > 0) {
    lua_pushlstring(L, d->rest, d->kept);
    lua_insert(L, 2);
    lua_concat(L, 2);
  }
  return push_text(L, d, over);
}

static int l_gc(lua_State *L) {
  struct decoder *d = luaL_checkudata(L, 1, DECODER);
  if (d->cd != (iconv_t)-1)
    (void)iconv_close(d->cd);
  d->cd = (iconv_t)-1;
  d->kind = RAW;
  return 0;
}

/* open([label]) -> decoder; nil if the charset is unknown. Without a label only a byte order mark counts. */
static int l_open(lua_State *L) {
  size_t length = 0;
  const char *label = luaL_optlstring(L, 1, NULL, &length);
  char padded[MAX_LABEL + 3];
  struct decoder *d = lua_newuserdatauv(L, sizeof *d, 0);
  *d = (struct decoder){.kind = RAW, .cd = (iconv_t)-1, .unit = 1};
  luaL_setmetatable(L, DECODER);
  if (label == NULL)
    return 1;
  const char *name = find_name(label, length, padded);
  if (name == NULL || !choose(d, name))
    lua_pushnil(L);
  return 1;
}

/* is_utf8(text) -> boolean: it is valid, without a byte order mark; decoded it is itself */
static int l_is_utf8(lua_State *L) {
  size_t n;
  const char *p = luaL_checklstring(L, 1, &n);
  bool marked = n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0;
  lua_pushboolean(L, !marked && utf8_valid(p, n) == n);
  return 1;
}

static const luaL_Reg methods[] = {{"decode", l_decode}, {NULL, NULL}};

static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};

static const luaL_Reg lib[] = {{"open", l_open}, {"is_utf8", l_is_utf8}, {NULL, NULL}};

int luaopen_rille_charset(lua_State *L) {
  rille_class(L, DECODER, meta, methods);
  luaL_newlib(L, lib);
  return 1;
}
