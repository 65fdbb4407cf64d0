#!/usr/bin/env bash
# Makes book/_static/katex from the npm package katex: style sheet, woff2 fonts, licence.
# The version is the one that sphinxcontrib-katex renders with; tests/test_site.py compares the two.
set -euo pipefail
version=0.16.22
target="$(cd "$(dirname "$0")" && pwd)/_static/katex"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
tar xzf "$(npm pack --silent "katex@$version")"
rm -rf "$target"
mkdir -p "$target/fonts"
cp package/LICENSE "$target/"
cp package/dist/fonts/*.woff2 "$target/fonts/"
# Every browser that can run the book reads woff2: leave the two older formats out.
sed -E 's/,url\([^)]*\.(woff|ttf)\) format\("[a-z]+"\)//g' package/dist/katex.min.css \
  > "$target/katex.min.css"
