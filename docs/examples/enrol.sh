#!/usr/bin/env bash
# A vendor comes into the federation, with curl alone, against a running hub. 一家厂商从申请到接入、轮换、停用、审计。
#
#   HUB       address of the hub, e.g. http://127.0.0.1:8000
#   CODE      the one-time code that `hutong init` printed; nobody has been added yet
#   DOMAIN    host[:port] that the vendor proves; WEBROOT is the folder served there
#             (python3 -m http.server --directory WEBROOT PORT; HUTONG_FETCH_ALLOW=127.0.0.0/8 for loopback)
#   HUTONG    the command `hutong` with the environment of this hub, for the audit chain
#   ALTER     optional: a command that alters an audit row by hand, as an intruder on the database would
set -euo pipefail
work=$(mktemp -d); load=; trap '[ -z "$load" ] || kill "$load" 2>/dev/null || true; rm -rf "$work"' EXIT
api="$HUB/api/v1"

say() { printf '\n== %s\n' "$*"; }
die() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
field() { sed -n -e "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" -e "s/.*\"$1\":\([0-9][0-9]*\).*/\1/p" | head -n 1; } # a member of a flat answer
# call WHO METHOD PATH [BODY]: the answer in $work/answer, its status in $status. WHO is a key, a person, or `-`.
call() {
  local who=$1 method=$2 path=$3 body=${4-} args=()
  case $who in
    -) ;;
    hk_*) args=(-H "Authorization: Bearer $who") ;;
    *) args=(-H "Cookie: __Host-hutong=$(cat "$work/$who.cookie")" -H "X-CSRF-Token: $(cat "$work/$who.csrf")" -H "Origin: $HUB") ;;
  esac
  [ -n "$body" ] && args+=(-H "Content-Type: application/json" --data "$body")
  status=$(curl -sS --max-time 120 --noproxy '*' -o "$work/answer" -w '%{http_code}' -X "$method" "${args[@]}" "$path")
}
want() { [ "$status" = "$1" ] || die "expected $1, got $status: $(cat "$work/answer")"; }
told() { field "$1" < "$work/answer"; }
login() { # NAME PASSWORD
  curl -sS --noproxy '*' -D "$work/head" -o "$work/answer" -H "Content-Type: application/json" -H "Origin: $HUB" \
    --data "{\"name\":\"$1\",\"password\":\"$2\"}" "$api/login"
  sed -n 's/^[Ss]et-[Cc]ookie: __Host-hutong=\([^;]*\).*/\1/p' "$work/head" > "$work/$1.cookie"
  told csrf > "$work/$1.csrf"
}
person() { # NAME ROLE: added by sun, changes the first password at once
  call sun POST "$api/people" "{\"name\":\"$1\",\"password\":\"first-$1-lantern-rice\",\"roles\":[\"$2\"]}"; want 201
  login "$1" "first-$1-lantern-rice"
  call "$1" POST "$api/me/password" "{\"old\":\"first-$1-lantern-rice\",\"new\":\"velvet-$1-lantern-41\"}"; want 200
  login "$1" "velvet-$1-lantern-41"
}

say "The people: a security administrator by the one-time code, two operators"
call - POST "$api/people/first" "{\"code\":\"$CODE\",\"name\":\"sun\",\"password\":\"bridge-willow-copper-77\"}"; want 201
login sun bridge-willow-copper-77
person wang operator
person li operator

application() { # CREDIT_CODE
  printf '{"name":"备课助手","organisation":"示例教育科技有限公司","region":"110000","domain":"%s","credit_code":"%s","agreement":"2026-1","contacts":[{"name":"陈工","email":"chen@example.com"}]}' "$DOMAIN" "$1"
}
say "A wrong credit code is refused with the reason"
call - GET "$api/enrolments/terms"; want 200; echo "agreement $(told version)"
call - POST "$api/enrolments" "$(application 911100006000373410)"; want 422
[ "$(told kind)" = enrol.credit_code ] || die "kind $(told kind)"
told detail; echo

say "The vendor registers and proves its domain"
call - POST "$api/enrolments" "$(application 91110000600037341L)"; want 201
id=$(told id) own=$(told key) challenge=$(told challenge)
mkdir -p "$WEBROOT/.well-known"
call "$own" POST "$api/enrolments/$id/proof" '{"by":"file"}'; want 422; told detail; echo
printf '%s\n' "$challenge" > "$WEBROOT/.well-known/hutong-challenge"
call "$own" POST "$api/enrolments/$id/proof" '{"by":"file"}'; want 200

say "A test key at once: it looks at the proved domain only"
printf '{"id":"%s","title":"一元二次方程 第%s课","subject":"数学","stage":"初中","languages":["zh-CN"],"url":"https://%s/%s"}\n' \
  a1 1 "$DOMAIN" a1 a2 2 "$DOMAIN" a2 > "$WEBROOT/catalogue.ndjson"
config="{\"url\":\"http://$DOMAIN/catalogue.ndjson\",\"id_paths\":[\"id\"]}"
mapping='{"version":1,"fields":{"title":{"path":"title"},"subject":{"path":"subject"},"stage":{"path":"stage"},"languages":{"path":"languages"},"location":{"path":"url","list":true},"type":{"constant":["课件"]},"audience":{"constant":["学生"]},"contributors":{"constant":[{"role":"creator","name":"示例教育科技有限公司"}]},"rights":{"constant":{"statement":"免费开放"}}}}'
call "$own" POST "$api/enrolments/$id/credential"; want 201; test=$(told key)
call "$test" POST "$api/preview" "{\"connector\":\"ndjson\",\"config\":$config,\"mapping\":$mapping,\"records\":5}"; want 200
call "$test" POST "$api/preview" '{"connector":"ndjson","config":{"url":"https://another.example.org/","id_paths":["id"]}}'; want 403; told detail; echo

say "Submitted and reviewed: it is a platform now, in the sandbox"
call "$own" POST "$api/enrolments/$id/submit" '{}'; want 200
call wang POST "$api/enrolments/$id/approve" '{"reason":"材料齐全"}'; want 200
platform=$(told code); echo "$id is $platform now"

say "In the sandbox it tries its feed: looked at, never harvested"
call "$own" POST "$api/enrolments/$id/credential"; want 201; sandbox=$(told key)
call "$sandbox" POST "$api/preview" "{\"connector\":\"ndjson\",\"config\":$config,\"mapping\":$mapping,\"records\":5}"; want 200
call "$sandbox" POST "$api/feeds" "{\"platform\":\"$platform\",\"name\":\"目录\",\"connector\":\"ndjson\",\"config\":$config,\"mapping\":$mapping,\"every_s\":1}"; want 201
feed=$(told id)
call "$own" POST "$api/enrolments/$id/submit" '{}'; want 422; told detail; echo
call "$sandbox" POST "$api/validate" "{\"feed\":$feed,\"records\":100,\"attach\":true}"; want 200
echo "report $(told document)"
call "$own" POST "$api/enrolments/$id/submit" '{"note":"校验报告已附"}'; want 200
call "$sandbox" GET "$api/feeds/$feed/runs"; want 200
grep -q '"items":\[\]' "$work/answer" || die "a sandbox feed was harvested"

say "Refused once with a reason, then resubmitted with the licence; the history keeps both"
call wang POST "$api/enrolments/$platform/refuse" '{}'; want 422; told detail; echo
call wang POST "$api/enrolments/$platform/refuse" '{"reason":"缺少营业执照"}'; want 200
[ "$(told stage)" = sandbox ] || die "a refusal leads back to the sandbox"
printf 'licence' > "$work/licence.pdf"
curl -sS --noproxy '*' --fail -o /dev/null -H "Authorization: Bearer $own" --data-binary "@$work/licence.pdf" \
  "$api/enrolments/$id/documents?kind=licence&name=licence.pdf"
call "$own" POST "$api/enrolments/$id/submit" '{"note":"已补充营业执照"}'; want 200
call "$own" GET "$api/enrolments/$id"; want 200
grep -q '缺少营业执照.*已补充营业执照' "$work/answer" || die "the history has lost the refusal"

say "Approved by two people"
call wang POST "$api/enrolments/$platform/approve" '{"reason":"报告无拒收"}'; want 200
[ "$(told stage)" = conformance ] || die "one person was enough"
call wang POST "$api/enrolments/$platform/approve" '{}'; want 409; told detail; echo
call li POST "$api/enrolments/$platform/approve" '{"reason":"同意试运行"}'; want 200
[ "$(told stage)" = trial ] || die "two people were not enough"

say "It gets its credential, its feed is harvested and goes live by steps, and it uploads a file"
call "$own" POST "$api/enrolments/$platform/credential"; want 201; key=$(told key); prefix=$(told prefix)
records() { # wait until the platform has this many
  for _ in $(seq 600); do
    call - GET "$api/records?platform=$platform"; want 200
    [ "$(grep -o '"seq":' "$work/answer" | wc -l)" -ge "$1" ] && return
    sleep 0.1
  done
  die "only $(cat "$work/answer")"
}
live() { # FEED: 1 %, 10 %, all; each step is raised once it has seen a good run
  for step in 10 100; do
    for _ in $(seq 600); do
      call "$key" POST "$api/feeds/$1/ramp" '{"act":"raise"}'
      [ "$status" = 200 ] && break
      [ "$(told kind)" = ramp.no_good_run ] || die "$(cat "$work/answer")"
      sleep 0.1
    done
    want 200; echo "feed $1: $(told percent) %"
  done
}
live "$feed"
records 2
call "$key" POST "$api/feeds" "{\"platform\":\"$platform\",\"name\":\"上传\",\"every_s\":1,\"connector\":\"upload\",\"config\":{\"file\":{\"format\":\"ndjson\",\"id_paths\":[\"id\"]}},\"mapping\":$mapping}"; want 201
printf '{"id":"u1","title":"勾股定理","subject":"数学","stage":"初中","languages":["zh-CN"],"url":"https://%s/u1"}\n' "$DOMAIN" > "$work/upload.ndjson"
curl -sS --noproxy '*' --fail -o /dev/null -H "Authorization: Bearer $key" --data-binary "@$work/upload.ndjson" "$api/feeds/$(told id | tee "$work/upload")/files?name=upload.ndjson"
live "$(cat "$work/upload")"
records 3; echo "3 records of $platform"

say "A second vendor sees nothing of it"
call wang POST "$api/platforms" '{"code":"E-310000-01","name":"另一厂商"}'; want 201
call sun POST "$api/keys" '{"platform":"E-310000-01"}'; want 201; other=$(told key)
for path in "feeds/$feed" "feeds/$feed/runs" "enrolments/$id" "enrolments/$platform" "platforms/$platform" "platforms/$platform/line"; do
  call "$other" GET "$api/$path"; want 404
done
for path in feeds enrolments rejects notices; do
  call "$other" GET "$api/$path"; want 200
  grep -q "$platform\|$id" "$work/answer" && die "$path shows $platform"
done

say "Its key is rotated under load"
echo "$key" > "$work/key"; : > "$work/load"
( while [ -d "$work" ] && [ ! -e "$work/enough" ]; do
    curl -sS --max-time 20 --noproxy '*' -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $(cat "$work/key")" "$api/feeds" >> "$work/load"
  done ) & load=$!
sleep 0.5
call sun POST "$api/keys/$prefix/rotate" '{"overlap_s":600}'; want 201
told key > "$work/key.new"; mv "$work/key.new" "$work/key"
sleep 0.5
call sun POST "$api/keys/$prefix/revoke" '{"reason":"轮换完成"}'; want 200
sleep 1; touch "$work/enough"; wait "$load"; load=
echo "$(wc -l < "$work/load") requests, $(grep -vc '^200$' "$work/load" || true) failed"
grep -qv '^200$' "$work/load" && die "requests failed during the rotation"
call "$key" GET "$api/feeds"; want 401
key=$(cat "$work/key")

say "It is suspended and refused within a second"
call "$key" GET "$api/feeds"; want 200
call li POST "$api/enrolments/$platform/suspend" '{"reason":"安全事件处置"}'; want 200
sleep 1
call "$key" GET "$api/feeds"; want 401
call "$own" GET "$api/enrolments/$platform/notices"; want 200
grep -q '安全事件处置' "$work/answer" || die "it is not told why"

say "The audit chain holds; after a row is altered by hand it is named"
$HUTONG audit verify
if [ -n "${ALTER-}" ]; then
  $ALTER
  $HUTONG audit verify && die "the altered row was not found"
fi
say "done"
