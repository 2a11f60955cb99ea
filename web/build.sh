#!/usr/bin/env bash
# Builds the page into web/dist: index.html with its files for any static server, and alexnet.html, the whole in one file.
#
#     web/build.sh
#
# Needs Rust with the target wasm32-unknown-unknown, which rustup fetches. Where no target can be fetched, Debian's sid has rustc and
# the target in one version: they are installed with debootstrap (as root) into ~/.cache/alexnet-burn/sid, and compile there.
set -euo pipefail
cd "$(dirname "$0")/.."
target=wasm32-unknown-unknown
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/web"
# `getrandom` asks the page's crate (crates/web/src/random.rs), whatever features other crates turn on.
export RUSTFLAGS='-C target-feature=+simd128 --cfg getrandom_backend="custom"'
sid="$HOME/.cache/alexnet-burn/sid"

say() { printf 'web/build.sh: %s\n' "$*" >&2; }

has_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; }

# Prepares a folder with Debian's sid and its Rust, and prints nothing.
prepare_sid() {
  [ -x "$sid/usr/bin/cargo" ] && return
  [ "$(id -u)" = 0 ] || { say "rustup has no target $target, and debootstrap needs root: run this as root, or install the target"; exit 1; }
  command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq debootstrap; } >&2
  say "installing Debian's sid with Rust into $sid"
  mkdir -p "$sid"
  debootstrap --variant=minbase sid "$sid" >&2
  chroot "$sid" apt-get install -y -qq --no-install-recommends \
    rustc cargo libstd-rust-dev-wasm32 lld gcc libc6-dev ca-certificates >&2
}

build() {
  local words=(build --locked --profile web --target "$target" -p alexnet-web --no-default-features --features "$1")
  if has_target; then
    cargo "${words[@]}"
  else
    local inside=(chroot "$sid" env "PATH=/usr/bin:/bin" "HOME=/root" "CARGO_HOME=/cargo" "CARGO_TARGET_DIR=/out" "RUSTFLAGS=$RUSTFLAGS"
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld)
    mkdir -p "$sid/src" "$sid/out" "$sid/cargo" "$CARGO_TARGET_DIR"
    # A copy, since the folder inside has no other way out. The registry's files are those of the user.
    tar --exclude=./target --exclude=./.git --exclude=./runs --exclude=./web/dist -cf - . | tar -xf - -C "$sid/src"
    [ -d "${CARGO_HOME:-$HOME/.cargo}/registry" ] && cp -rn "${CARGO_HOME:-$HOME/.cargo}/registry" "$sid/cargo/"
    "${inside[@]}" sh -c 'cd /src && rm -f rust-toolchain.toml && exec cargo "$@"' cargo "${words[@]}"
    mkdir -p "$CARGO_TARGET_DIR/$target/web"
    cp "$sid/out/$target/web/alexnet_web.wasm" "$CARGO_TARGET_DIR/$target/web/"
  fi
}

if ! has_target; then
  rustup target add "$target" >&2 2>/dev/null || true
  has_target || prepare_sid
fi

dist=web/dist
rm -rf "$dist"
mkdir -p "$dist"
for module in race look; do
  build "$module"
  cp "$CARGO_TARGET_DIR/$target/web/alexnet_web.wasm" "$dist/$module.wasm"
done
python3 web/assemble.py "$dist"
