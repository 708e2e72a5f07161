# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# Pictures of recordings and of runs. timeline_browser_test looks at the page in a browser.

NAME a run is drawn, its failures first
NEEDS connector
RUN knell run --timeline t.svg -- sh -c 'sh -c "sleep 0.05; exit 3"; sh -c "kill -KILL \$\$"; exit 4'; echo $?; grep -c 'class="mark"' t.svg; grep -c 'class="open"' t.svg; grep -o 'exit 3 · .*s · sh sleep 0.05; exit 3 &lt;- sh · sh -c .sleep 0.05; exit 3' t.svg; grep -o '✗ SIGKILL, kill by [0-9]* sh' t.svg; grep -o '✗ sh .* · exit 4' t.svg
EXPECT \A4\n3\n0\nexit 3 · \d
EXPECT ^✗ SIGKILL, kill by \d+ sh$
EXPECT ^✗ sh sh -c .* · exit 4$
EXPECT_ERR ^knell: sh: exit 4 after .*, 2 failed under it, 0 lost$

NAME the formats follow the name of the file
NEEDS connector
RUN for f in a.html a.svg a.pftrace; do knell run --timeline $f -- true 2>/dev/null; done; head -c 15 a.html; echo; head -c 4 a.svg; echo; head -c 1 a.pftrace | od -An -tx1
EXPECT \A<!doctype html>\n<svg\n 0a\n\Z

NAME a run without a timeline that can be written is not begun
RUN for f in t.png /nonexistent/t.svg; do knell run --timeline $f -- echo ran; echo $?; done
EXPECT \A125\n125\n\Z
EXPECT_ERR ^knell: --timeline t\.png: the name must end with \.html, \.svg or \.pftrace, the format$
EXPECT_ERR ^knell: --timeline /nonexistent/t\.svg: No such file or directory$

NAME a full disk loses the timeline, not the command's status
NEEDS connector
RUN ln -s /dev/full t.svg; knell run --timeline t.svg -- sh -c 'exit 4'
STATUS 4
EXPECT_ERR ^knell: cannot write t\.svg: No space left on device; there is no timeline$
EXPECT_ERR ^knell: sh: exit 4 after

NAME a recording is drawn in each format
NEEDS connector
SETUP knell record --under $$ r.knell 2>err & k=$!; until_listens err; sh -c 'sh -c "exit 3"; exit 5'; until_recorded r.knell '"exit_code":5'; kill -INT $k; wait $k
RUN for f in html svg perfetto; do knell timeline r.knell -o $f >t.$f; done; grep -c '✗ exit 5 · .* · sh ' t.svg; grep -o 'sha256-[^;]*' t.html | wc -l; knell timeline - -o svg --exit-code 3 <r.knell | grep -c 'class="mark"'
EXPECT \A1\n2\n1\n\Z
EXPECT_ERR ^\d+\.\d+s, \d+ processes, \d failed, 0 lost$

NAME the page allows its script and style by their hashes
NEEDS connector
SETUP knell run --timeline t.html -- true
RUN python3 -c '
    import base64, hashlib, re
    page = open("t.html").read()
    def digest(tag): return base64.b64encode(hashlib.sha256(re.search(f"<{tag}>(.*)</{tag}>", page, re.S)[1].encode()).digest()).decode()
    policy = re.search("Policy\" content=\"(.*)\">", page)[1]
    for tag in ("script", "style"): print(f"{tag}-src \x27sha256-{digest(tag)}\x27" in policy)'
EXPECT \ATrue\nTrue\n\Z

NAME a svg picture is XML, whatever the arguments are
NEEDS connector
SETUP cat > hostile <<'END'
 import os
 hostile = [b"<script>alert(1)</script>", b"]]>", b"&amp;<!--", b"\x01\x1b[31m", b"\xff\xfe", b"\xef\xbf\xbf", b"\"'><a/>", "\u202e\u2028".encode()]
 [os.spawnv(os.P_WAIT, "/bin/false", [text, text]) for text in hostile]
 END
SETUP knell run --timeline t.svg -- python3 hostile; knell run --timeline t.html -- python3 hostile; true
RUN python3 -c '
    import json, re, xml.etree.ElementTree as tree
    root = tree.parse("t.svg").getroot()
    print(sorted({element.tag.split("}")[1] for element in root.iter()}))
    print(sum("<script>alert(1)</script>" in (element.text or "") for element in root.iter()) > 1)
    page = open("t.html").read()
    data = json.loads(re.search("id=\"data\">(.*?)</script>", page, re.S)[1])
    print(page.count("<script"), any("<script>alert(1)</script>" in text for text in data["texts"]))'
EXPECT \A\['a', 'line', 'path', 'rect', 'style', 'svg', 'text', 'title'\]\nTrue\n2 True\n\Z

NAME a Perfetto trace has a track for each process, below that of its parent
NEEDS connector
NEEDS tool:protoc
SETUP knell run --timeline t.pftrace -- sh -c 'sh -c "exit 3"; /bin/true; exit 0'
RUN protoc --decode=Trace -I"${BASH_ENV%/*}" perfetto.proto <t.pftrace >text; grep -c -E '^    [0-9]+:' text; grep -c track_descriptor text; grep -c TYPE_SLICE_BEGIN text; grep -c TYPE_SLICE_END text; grep -c parent_uuid text; grep -c '"failed"' text; grep -A1 '"ended"\|name: "command"' text | grep -c 'name'; grep 'name: "sh: exit 3"' text; test $(grep -o ' uuid: .*' text | sort -u | wc -l) = 3 && echo distinct
EXPECT \A0\n3\n3\n3\n2\n1\n6\n
EXPECT name: "sh: exit 3"
EXPECT ^distinct$

NAME a recording without what is needed
NEEDS connector
SETUP (while :; do sh -c 'exit 3'; done) & knell record -e exec -n 1 a.knell; knell record -e nonzero-exit -n 1 --exit-code 3 --under $! b.knell; knell record --threads -n 1 c.knell
RUN for f in a b c; do knell timeline -o svg $f.knell | wc -l; echo ${PIPESTATUS[0]}; done; exit 0
EXPECT \A0\n1\n\d\d+\n0\n0\n1\n\Z
EXPECT_ERR ^knell: the recording a\.knell has no exits, which a timeline needs; it has exec$
EXPECT_ERR ^knell timeline: the recording b\.knell has no forks, so some parents are unknown$
EXPECT_ERR ^knell: c\.knell was recorded with --threads: a timeline needs events of processes$

NAME a damaged recording is drawn as far as it can be read
NEEDS connector
SETUP knell record -e nonzero-exit --exit-code 3 --under $$ -n 3 r.knell 2>err & k=$!; until_listens err; for i in 1 2 3; do sh -c 'exit 3'; until_recorded r.knell exit $i; done; wait $k; truncate -s -200 r.knell
RUN knell timeline -o svg r.knell | grep -c 'class="mark"'; exit ${PIPESTATUS[0]}
STATUS 1
EXPECT ^2$
EXPECT_ERR ^knell: r\.knell ends early

NAME the journal is drawn, by the real time
SETUP make_journal j.db
RUN knell timeline --journal j.db -S 6h -o svg >t.svg; grep -c 'class="mark"' t.svg; grep -o 'journal since 6h' t.svg | head -1; grep -c 'SIGKILL' t.svg
EXPECT \A4\njournal since 6h\n[1-9]
EXPECT_ERR ^knell timeline: the journal has no forks of this time, so some processes and parents are unknown$
EXPECT_ERR ^\S+, 5 processes, 4 failed, 0 lost$

NAME a predicate and the end of the time apply to the journal
SETUP make_journal j.db
RUN knell timeline --journal j.db -S 6h -U 150m -C grep -o perfetto | wc -c
EXPECT_ERR ^\S+, 2 processes, 2 failed, 0 lost$

NAME without a journal
RUN knell timeline --journal j.db -S 1h | cat; exit ${PIPESTATUS[0]}
STATUS 3
EXPECT_ERR ^knell: j\.db: there is no journal;

NAME a trace of the journal has the real time as its clock
NEEDS tool:protoc
SETUP make_journal j.db
RUN knell timeline --journal j.db -S 6h -o perfetto | protoc --decode=Trace -I"${BASH_ENV%/*}" perfetto.proto >text; grep -c 'timestamp_clock_id: 1$' text; grep -c 'timestamp_clock_id: 3$' text; grep -c 'primary_trace_clock: .*REALTIME\|primary_trace_clock: 1$' text; exit 0
EXPECT \A[1-9]\d*\n0\n1\n\Z

NAME lines of JSON are drawn, with the host before the names
NEEDS connector
SETUP knell watch -e fork,exec,exit --under $$ -o json >all 2>err & k=$!; until [[ -s all ]]; do /bin/true; done; sh -c 'sh -c "exit 3"; exit 5'; until grep -q '"exit_code":5' all; do /bin/true; done; kill -INT $k; wait $k; sed 's/^{/{"host":"web1",/' all >web1
RUN knell timeline --json all -o svg >a.svg; grep -c '✗ exit 5 · .* · sh ' a.svg; (cat web1; echo garbage) | knell timeline --json - -o svg >b.svg; grep -c '✗ exit 5 · .* · web1:sh ' b.svg; echo '{' | knell timeline --json - | cat; exit ${PIPESTATUS[1]}
STATUS 1
EXPECT \A1\n1\n\Z
EXPECT_ERR ^knell timeline: 1 line is no event, and left out$
EXPECT_ERR ^knell: - has no events of knell watch -o json$

NAME inputs that do not go together
RUN knell timeline x -S 1h | cat; knell timeline --json -S 1h | cat; knell timeline --json x -C y | cat; knell timeline --json none | cat
EXPECT_ERR ^knell: --since reads the journal of knelld, not a file: leave out x$
EXPECT_ERR ^knell: --json needs FILE, and cannot be used with --since$
EXPECT_ERR ^knell: --json draws all lines: use predicates with knell watch -o json$
EXPECT_ERR ^knell: cannot open none: No such file or directory$

NAME wrong usage
RUN knell timeline; echo $?; knell timeline -o png x | cat; knell timeline --bars 0 x | cat; knell timeline x --comm '' | cat; knell timeline /nonexistent | cat; knell timeline x -o svg >/dev/full; echo $?
EXPECT ^2$
EXPECT_ERR ^knell: missing FILE; use knell timeline \[OPTIONS\] FILE, or -S TIME for the journal of knelld$
EXPECT_ERR ^knell: -o takes html, svg or perfetto, not 'png'$
EXPECT_ERR ^knell: --bars takes a number from 1 to 10000000, not '0'$
EXPECT_ERR ^knell: cannot open the recording /nonexistent: No such file or directory$
