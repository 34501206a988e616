/* fault.c -- error objects and the stories of errors; the binding rille.host.fault.
 * Model:  told in fault.h. Stories are in a table of the registry with weak keys. Strings have no
 *         identity: the stories of the last two are kept, of the one in flight and of an error of the
 *         cleanup that it has begun.
 * Owner:  the registry.
 * Errors: as everything that pushes. */
#include "fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "box.h"

#define FAULT "rille.error"

static const char STORIES = 0; /* its address is the key in the registry */
static const char UNWINDING = 0; /* likewise: coroutine -> the error that unwinds it to its base call */

/* Where the last two strings are; the story of each is at the next key. */
enum { LAST = 1, BEFORE = 3 };

enum { STORY_LIMIT = 16000 };

#define FRAMES "stack traceback:" /* as luaL_traceback begins */

void rille_fault_push(lua_State *L, const char *code, const char *format, ...) {
  va_list args;
  lua_createtable(L, 0, 4);
  lua_pushstring(L, code);
  lua_setfield(L, -2, "code");
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lua_setfield(L, -2, "message");
  luaL_setmetatable(L, FAULT);
}

void rille_fault_push_uv(lua_State *L, int status, const char *what) {
  char name[32], text[128];
  uv_err_name_r(status, name, sizeof name);
  uv_strerror_r(status, text, sizeof text);
  rille_fault_push(L, name, "%s: %s", what, text);
}

bool rille_fault_is(lua_State *L, int index, const char *code) {
  index = lua_absindex(L, index);
  if (!lua_istable(L, index) || !lua_getmetatable(L, index))
    return false;
  luaL_getmetatable(L, FAULT);
  bool is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  if (is && code != NULL) {
    lua_pushstring(L, "code");
    lua_rawget(L, index);
    is = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), code) == 0;
    lua_pop(L, 1);
  }
  return is;
}

/* --- stories --- */

/* `text` ends with `end`: Lua's coroutine.wrap puts a position before a string at every level. */
static bool ends_with(const char *text, size_t length, const char *end, size_t end_length) {
  return length >= end_length && memcmp(text + length - end_length, end, end_length) == 0;
}

/* The key in `stories` of the string that the one at `index` is, or ends with; 0: of none. */
static int find_string(lua_State *L, int stories, int index) {
  size_t length, kept_length;
  const char *text = lua_tolstring(L, index, &length);
  int found = 0;
  for (int key = LAST; key <= BEFORE && found == 0; key += BEFORE - LAST) {
    lua_rawgeti(L, stories, key);
    const char *kept = lua_tolstring(L, -1, &kept_length);
    if (kept != NULL && ends_with(text, length, kept, kept_length))
      found = key;
    lua_pop(L, 1);
  }
  return found;
}

/* Pushes the story of the string at `index`, or nil. */
static void push_string_story(lua_State *L, int stories, int index) {
  int key = find_string(L, stories, index);
  if (key != 0)
    lua_rawgeti(L, stories, key + 1);
  else
    lua_pushnil(L);
}

/* Keeps the story on top as that of the string at `index`, which is the last one now. Pops it. */
static void keep_string_story(lua_State *L, int stories, int index) {
  if (find_string(L, stories, index) != LAST)
    for (int key = LAST; key < BEFORE; key++) {
      lua_rawgeti(L, stories, key);
      lua_rawseti(L, stories, key + BEFORE - LAST);
    }
  lua_rawseti(L, stories, LAST + 1);
  lua_pushvalue(L, index);
  lua_rawseti(L, stories, LAST);
}

static bool has_identity(lua_State *L, int index) {
  int type = lua_type(L, index);
  return type == LUA_TTABLE || type == LUA_TUSERDATA || type == LUA_TFUNCTION ||
         type == LUA_TTHREAD;
}

void rille_fault_push_story(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &STORIES);
  int stories = lua_gettop(L);
  if (has_identity(L, index)) {
    lua_pushvalue(L, index);
    lua_rawget(L, stories);
  } else if (lua_type(L, index) == LUA_TSTRING) {
    push_string_story(L, stories, index);
  } else {
    lua_pushnil(L);
  }
  lua_remove(L, stories);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushliteral(L, "");
  }
}

/* Keeps the story on top as that of the error at `index`. Pops it. */
static void keep_story(lua_State *L, int index) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &STORIES);
  lua_insert(L, -2);
  if (has_identity(L, index)) {
    lua_pushvalue(L, index);
    lua_insert(L, -2);
    lua_rawset(L, -3);
  } else if (lua_type(L, index) == LUA_TSTRING) {
    keep_string_story(L, lua_gettop(L) - 1, index);
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* Pushes "stack traceback:..." for the coroutine that raised, "<how> <who>:..." for the next ones; on a
 * line of its own if something is `before` it. */
static void push_segment(lua_State *L, int level, const char *how, const char *who, bool before) {
  const char *line = before ? "\n" : "";
  luaL_traceback(L, L, NULL, level);
  const char *text = lua_tostring(L, -1);
  const char *frames = strchr(text, '\n');
  if (how == NULL)
    lua_pushfstring(L, "%s%s", line, text);
  else
    lua_pushfstring(L, "%s%s %s:%s", line, how, who, frames != NULL ? frames : "");
  lua_replace(L, -2);
}

void rille_fault_tell(lua_State *L, int index, int level, const char *how, const char *who) {
  index = lua_absindex(L, index);
  if (how != NULL || has_identity(L, index))
    rille_fault_push_story(L, index);
  else
    lua_pushliteral(L, ""); /* a string raised anew: what is kept is of another with the same text */
  size_t length = lua_rawlen(L, -1);
  if (length > STORY_LIMIT) { /* a chain thousands of coroutines long: its beginning tells enough */
    lua_pop(L, 1);
    return;
  }
  bool again = how == NULL && strstr(lua_tostring(L, -1), FRAMES) != NULL;
  push_segment(L, level, again ? "raised again in" : how, who, length > 0);
  lua_concat(L, 2);
  keep_story(L, index);
}

void rille_fault_add(lua_State *L, int index) {
  index = lua_absindex(L, index);
  if (lua_rawlen(L, -1) == 0) {
    lua_pop(L, 1);
    return;
  }
  rille_fault_push_story(L, index);
  if (lua_rawlen(L, -1) > STORY_LIMIT) {
    lua_pop(L, 2);
    return;
  }
  lua_pushstring(L, lua_rawlen(L, -1) > 0 ? "\n" : "");
  lua_rotate(L, -3, -1); /* story, line break, line */
  lua_concat(L, 3);
  keep_story(L, index);
}

bool rille_fault_has_story(lua_State *L, int index) {
  rille_fault_push_story(L, index);
  bool has = lua_rawlen(L, -1) > 0;
  lua_pop(L, 1);
  return has;
}

/* Appends the suppressed error to the list of the one at `index`, if that is an error object. */
static void list_suppressed(lua_State *L, int index, int suppressed) {
  if (!rille_fault_is(L, index, NULL))
    return;
  if (lua_getfield(L, index, "suppressed") != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, index, "suppressed");
  }
  lua_pushvalue(L, suppressed);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
}

/* Ends the story of the error at `index` with the text on top. Pops it. */
static void end_story(lua_State *L, int index) {
  rille_fault_push_story(L, index);
  if (lua_rawlen(L, -1) == 0) { /* without its line break, which parts it from the story */
    lua_pushstring(L, lua_tostring(L, -2) + 1);
    lua_replace(L, -3);
  }
  lua_insert(L, -2);
  lua_concat(L, 2);
  keep_story(L, index);
}

static void push_suppressed(lua_State *L, int suppressed) {
  lua_pushliteral(L, "\nsuppressed: ");
  rille_fault_push_message(L, suppressed);
  lua_concat(L, 2);
}

/* The story on top, of the error at `index`, is long: its last line counts what it does not tell. Pops it. */
static void count_suppressed(lua_State *L, int index) {
  size_t length;
  const char *story = lua_tolstring(L, -1, &length);
  const char *line = memrchr(story, '\n', length);
  int count = 0, end = 0;
  bool counts = line != NULL && sscanf(line, "\nsuppressed: %d more%n", &count, &end) == 1;
  if (!counts || line + end != story + length) {
    count = 0;
    line = story + length;
  }
  lua_pushlstring(L, story, (size_t)(line - story));
  lua_pushfstring(L, "\nsuppressed: %d more", count + 1);
  lua_concat(L, 2);
  lua_replace(L, -2);
  keep_story(L, index);
}

void rille_fault_suppress(lua_State *L, int index, int suppressed) {
  index = lua_absindex(L, index);
  suppressed = lua_absindex(L, suppressed);
  list_suppressed(L, index, suppressed);
  rille_fault_push_story(L, index);
  if (lua_rawlen(L, -1) > STORY_LIMIT) {
    count_suppressed(L, index);
    return;
  }
  lua_pop(L, 1);
  push_suppressed(L, suppressed);
  end_story(L, index);
}

/* --- unwinding --- */

enum { NOW = 1, REPLACED }; /* of a record: the error that unwinds, and what is told of those before */

/* Pushes the record of the base call whose handler runs in L, or nil. */
static void push_record(lua_State *L) {
  if (!lua_isnone(L, lua_upvalueindex(1))) {
    lua_pushvalue(L, lua_upvalueindex(1));
    return;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &UNWINDING);
  (void)lua_pushthread(L);
  lua_rawget(L, -2);
  lua_replace(L, -2);
}

/* Keeps the record on top. Pops it. */
static void keep_record(lua_State *L) {
  if (!lua_isnone(L, lua_upvalueindex(1))) {
    lua_replace(L, lua_upvalueindex(1));
    return;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &UNWINDING);
  (void)lua_pushthread(L);
  lua_rotate(L, -3, -1); /* table, coroutine, record */
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* Sets the error of a record to that at `index`, and what is told of those before to the text on top, which
 * it pops. */
static void set_record(lua_State *L, int record, int index) {
  lua_rawseti(L, record, REPLACED);
  lua_pushvalue(L, index);
  lua_rawseti(L, record, NOW);
}

void rille_fault_unwind(lua_State *L, int index) {
  index = lua_absindex(L, index);
  push_record(L);
  int record = lua_gettop(L);
  if (lua_isnil(L, record)) {
    lua_createtable(L, REPLACED, 0);
    lua_replace(L, record);
    lua_pushliteral(L, "");
    set_record(L, record, index);
    keep_record(L);
    return;
  }
  lua_rawgeti(L, record, NOW);
  if (!lua_rawequal(L, -1, index)) {
    list_suppressed(L, index, record + 1);
    lua_rawgeti(L, record, REPLACED);
    if (lua_rawlen(L, -1) <= STORY_LIMIT) {
      push_suppressed(L, record + 1);
      lua_concat(L, 2);
    }
    lua_pushvalue(L, -1);
    end_story(L, index);
    set_record(L, record, index);
  }
  lua_settop(L, record - 1);
}

static int to_text(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

void rille_fault_push_message(lua_State *L, int index) {
  index = lua_absindex(L, index);
  if (lua_isstring(L, index)) { /* a number too, as the standalone interpreter shows it */
    lua_pushvalue(L, index);
    (void)lua_tostring(L, -1);
    return;
  }
  if (luaL_getmetafield(L, index, "__tostring") != LUA_TNIL) {
    lua_pushcfunction(L, to_text);
    lua_replace(L, -2);
    lua_pushvalue(L, index);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK)
      return;
    lua_pop(L, 1); /* an error about an error must not take its place */
  }
  lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, index));
}

/* --- the binding --- */

/* new(code, message[, fields]) -> error object */
static int l_new(lua_State *L) {
  luaL_checkstring(L, 1);
  luaL_checkstring(L, 2);
  if (!lua_isnoneornil(L, 3))
    luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  rille_fault_push(L, lua_tostring(L, 1), "%s", lua_tostring(L, 2));
  if (lua_isnil(L, 3))
    return 1;
  lua_pushnil(L);
  while (lua_next(L, 3) != 0) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, 4);
  }
  return 1;
}

/* is(v[, code]) -> boolean */
static int l_is(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, rille_fault_is(L, 1, luaL_optstring(L, 2, NULL)));
  return 1;
}

/* traceback(err) -> string: the message and the frames of each coroutine that the error left */
static int l_traceback(lua_State *L) {
  luaL_checkany(L, 1);
  rille_fault_push_message(L, 1);
  rille_fault_push_story(L, 1);
  if (lua_rawlen(L, -1) > 0) {
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
  }
  lua_concat(L, lua_gettop(L) - 1);
  return 1;
}

/* suppress(err, suppressed): attaches an error that must not replace err */
static int l_suppress(lua_State *L) {
  luaL_checkany(L, 1);
  luaL_checkany(L, 2);
  rille_fault_suppress(L, 1, 2);
  return 0;
}

/* note(err, line): adds a line to the story of err */
static int l_note(lua_State *L) {
  luaL_checkany(L, 1);
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  rille_fault_add(L, 1);
  return 0;
}

static int l_tostring(lua_State *L) {
  lua_settop(L, 1);
  if (!lua_istable(L, 1) || lua_getfield(L, 1, "message") != LUA_TSTRING)
    lua_pushliteral(L, "error");
  return 1;
}

static const luaL_Reg meta[] = {{"__tostring", l_tostring}, {NULL, NULL}};

static const luaL_Reg lib[] = {{"new", l_new},
                               {"is", l_is},
                               {"traceback", l_traceback},
                               {"suppress", l_suppress},
                               {"note", l_note},
                               {NULL, NULL}};

/* Makes a table with weak keys in the registry. */
static void make_weak(lua_State *L, const char *key) {
  rille_push_weak(L, "k");
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

int luaopen_rille_fault(lua_State *L) {
  luaL_newmetatable(L, FAULT);
  luaL_setfuncs(L, meta, 0);
  lua_pop(L, 1);
  make_weak(L, &STORIES);
  make_weak(L, &UNWINDING);
  luaL_newlib(L, lib);
  return 1;
}
