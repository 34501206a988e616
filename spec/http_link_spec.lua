-- The header Link: which links are read, and what they lead to. References are resolved as RFC 3986 has it.
local expect = require "spec.helper.expect"
local http = require "rille.http"
local http_link = require "rille.http.link"
local uri = require "rille.uri"

-- RFC 3986, 5.4.1 and 5.4.2: reference, and what it is with the base "http://a/b/c/d;p?q".
local EXAMPLES = [[
g:h            g:h
g              http://a/b/c/g
./g            http://a/b/c/g
g/             http://a/b/c/g/
/g             http://a/g
//g            http://g
?y             http://a/b/c/d;p?y
g?y            http://a/b/c/g?y
#s             http://a/b/c/d;p?q#s
g#s            http://a/b/c/g#s
g?y#s          http://a/b/c/g?y#s
;x             http://a/b/c/;x
g;x            http://a/b/c/g;x
g;x?y#s        http://a/b/c/g;x?y#s
-              http://a/b/c/d;p?q
.              http://a/b/c/
./             http://a/b/c/
..             http://a/b/
../            http://a/b/
../g           http://a/b/g
../..          http://a/
../../         http://a/
../../g        http://a/g
../../../g     http://a/g
../../../../g  http://a/g
/./g           http://a/g
/../g          http://a/g
g.             http://a/b/c/g.
.g             http://a/b/c/.g
g..            http://a/b/c/g..
..g            http://a/b/c/..g
./../g         http://a/b/g
./g/.          http://a/b/c/g/
g/./h          http://a/b/c/g/h
g/../h         http://a/b/c/h
g;x=1/./y      http://a/b/c/g;x=1/y
g;x=1/../y     http://a/b/c/y
g?y/./x        http://a/b/c/g?y/./x
g?y/../x       http://a/b/c/g?y/../x
g#s/./x        http://a/b/c/g#s/./x
g#s/../x       http://a/b/c/g#s/../x
http:g         http:g
]]

describe("rille.uri", function()
  it("resolves the examples of RFC 3986", function()
    local count = 0
    for reference, target in EXAMPLES:gmatch("(%S+) +(%S+)\n") do
      reference = reference == "-" and "" or reference
      assert.equal(target, uri.resolve("http://a/b/c/d;p?q", reference), reference)
      count = count + 1
    end
    assert.equal(42, count)
  end)

  it("resolves with other bases", function()
    for _, case in ipairs {
      { "http://a", "g", "http://a/g" },
      { "http://a?q", "", "http://a?q" },
      { "http://a?q#f", "?", "http://a?" },
      { "http://a/b#f", "", "http://a/b" },
      { "http://u:p@a:81/b/", "../../c/./d", "http://u:p@a:81/c/d" },
      { "http://a/b/c", "//h/../x/..", "http://h/" },
      { "http://a/b/c", "https://h/x/../y", "https://h/y" },
      { "http://a//b//c", "../d", "http://a//b/d" },
      { "http://a/b/c", "x:y/../z", "x:/z" },
      { "urn:a:b", "c", "urn:c" },
      { "http://a/b", ("../"):rep(20000) .. "c", "http://a/c" },
      { "http://a/b", ("./"):rep(20000) .. "c", "http://a/c" },
    } do
      assert.equal(case[3], uri.resolve(case[1], case[2]))
    end
  end)

  it("puts together what it has split", function()
    for _, text in ipairs { "", "#", "?", "?#", "//", "a:", "a://b", "a://b?#", "/x?y#z", "a:b?c", "x y" } do
      assert.equal(text, uri.join(uri.split(text)))
    end
  end)

  it("tells origins apart", function()
    local same = {
      "http://host/", "HTTP://HOST", "http://host:80/a", "http://u:p@host:080?x", "http://host:#f",
    }
    for _, url in ipairs(same) do assert.equal("http://host:80", uri.origin(url), url) end
    assert.equal("https://[::1]:443", uri.origin("https://[::1]/"))
    assert.equal("http://[::1]:8080", uri.origin("http://[::1]:8080/"))
    assert.equal("http://h:81", uri.origin("http://a@b@h:81/x@y"))
    assert.are_not.equal(uri.origin("http://h/"), uri.origin("https://h/"))
  end)

  it("reads a long port, which is none, in one go", function()
    local long = "http://h:" .. ("0"):rep(1000000)
    assert.equal("http://h:80", uri.origin(long))
    assert.equal(long .. "x:80", uri.origin(long .. "x"))
  end)

  it("reads and replaces the user", function()
    assert.equal("u:p", uri.user("http://u:p@h/a@b"))
    assert.is_nil(uri.user("http://h/a@b"))
    assert.equal("http://h/x", uri.with_user("http://u:p@h/x", nil))
    assert.equal("http://a:b@h/x", uri.with_user("http://h/x", "a:b"))
    assert.equal("mailto:a@b", uri.with_user("mailto:a@b", "c"))
  end)
end)

-- The relation types of what was read: "target=rel", in order.
local function read(text)
  local list = {}
  for _, link in ipairs(http_link.parse(text)) do
    list[#list + 1] = link.target .. "=" .. (link.parameters.rel or "-")
  end
  return table.concat(list, " ")
end

describe("the header Link", function()
  it("is read in one go, however many blanks it has", function()
    assert.equal("=next", read("<" .. (" "):rep(1000000) .. ">; rel=next"))
    assert.equal("a b=next", read("<\t a b" .. (" "):rep(1000000) .. ">; rel=next"))
  end)

  it("has links in the grammar of RFC 8288", function()
    for text, expected in pairs {
      ['<a>; rel=next'] = "a=next",
      ['<a>;rel="next"'] = "a=next",
      ['<a>; rel = "x y" ; title="t"'] = "a=x y",
      ['<a>; rel=x, <b>; rel=y'] = "a=x b=y",
      ['<a>,<b>;rel=y'] = "a=- b=y",
      [', ,<a>; rel=x, ,,<b>; rel=y,'] = "a=x b=y",
      ['<a,b>; title="c, <d>; rel=no"; rel=x'] = "a,b=x",
      ['<a>; title="say \\"<b>; rel=y\\""; rel=x'] = "a=x",
      ['<a>; rel=x; rel=y'] = "a=x",
      ['<a>; REL=x'] = "a=x",
      ['<a>;;; rel=x;'] = "a=x",
      ['<a>; rel'] = "a=",
      ['<a>; rel='] = "a=",
      ['<a>; title*=UTF-8\'\'x; rel=x'] = "a=x",
      ['< a >; rel=x'] = "a=x",
      ['<>; rel=self'] = "=self",
      ['<a>; rel=x\t , \t<b>; rel=y z'] = "a=x b=y z",
    } do
      assert.equal(expected, read(text), text)
    end
  end)

  it("keeps what comes before a fault", function()
    for text, expected in pairs {
      [''] = "",
      ['a; rel=x'] = "",
      ['<a'] = "",
      ['<a>; rel=x, b; rel=y, <c>; rel=z'] = "a=x",
      ['<a>; rel="x'] = "a=x",
      ['<a>; rel="x\\'] = "a=x",
      ['<a>; rel="x\\"'] = 'a=x"',
      ['<a> nonsense, <b>; rel=y'] = "a=- b=y",
      ['<a>; rel="x"y, <b>'] = "a=x b=-",
    } do
      assert.equal(expected, read(text), text)
    end
  end)

  it("is read in time that grows with its length alone", function()
    assert.equal("a=x", read("<a>; rel=" .. (" "):rep(100000) .. "x"))
    assert.equal("a=" .. ("x "):rep(50000) .. "y", read("<a>; rel=" .. ("x "):rep(50000) .. "y"))
    assert.equal("a=-", read("<a>" .. (" "):rep(100000)))
    local many = os.getenv("RILLE_SPEC_GC") == "stress" and 2000 or 20000
    assert.equal(many, #http_link.parse(("<a>;b,"):rep(many)))
  end)
end)

describe("res:link", function()
  local server, base, links

  setup(function()
    server = http.serve({ port = 0 }, function(req)
      if req.path == "/old/" then return { status = 302, headers = { location = "/new/place" } } end
      return { headers = links and { link = links } }
    end)
    base = server.url
  end)

  teardown(function() server:close() end)

  -- What a buffered and a streamed response with these headers say.
  local function link(rel, headers, path)
    links = headers
    local streamed <close> = http.stream(base .. (path or "/a/b?c"))
    local answer = streamed:link(rel)
    assert.equal(answer, http.get(base .. (path or "/a/b?c")):link(rel))
    return answer
  end

  it("gives absolute URLs, of several headers", function()
    local headers = { '<?page=2>; rel="next last"', '<https://x.test/y>; rel=prev, </root>; rel=next' }
    assert.equal(base .. "/a/b?page=2", link("next", headers))
    assert.equal(base .. "/a/b?page=2", link("LAST", headers))
    assert.equal("https://x.test/y", link("prev", headers))
    assert.is_nil(link("first", headers))
    assert.is_nil(link("next", nil))
  end)

  it("knows relation types that are URIs, and does not match parts", function()
    assert.equal(base .. "/a/x", link("http://r.test/T", { "<x>; rel=\"HTTP://r.test/t\"" }))
    assert.is_nil(link("ex", { "<x>; rel=next" }))
  end)

  it("skips links of other resources", function()
    assert.equal(base .. "/a/y", link("next", { '<x>; rel=next; anchor="/other", <y>; rel=next' }))
    assert.equal(base .. "/a/x", link("next", { '<x>; rel=next; anchor="#here"' }))
  end)

  it("resolves against the URL that redirects led to", function()
    assert.equal(base .. "/new/x", link("next", { "<x>; rel=next" }, "/old/"))
  end)

  it("does not pass on a hidden password", function()
    links = { "<x>; rel=next" }
    local res = http.get((base:gsub("//", "//user:secret@")) .. "/a/")
    assert.equal(base .. "/a/x", res:link("next"))
  end)

  it("refuses misuse at the caller's line", function()
    local res = http.get(base)
    for _, bad in ipairs { 1, false, "", "a b", " " } do
      local err = expect.caught(function() res:link(bad) end)
      assert.matches("^spec/http_link_spec.lua:%d+: bad argument #1 to 'link' %(", err)
    end
    assert.matches("string expected, got nil", expect.caught(function() res:link() end))
  end)
end)
