#!/usr/bin/env bash
# Makes book/_static/katex and book/_static/fonts from two npm packages: style sheet, woff2 fonts,
# licences. The site then asks nobody else for them.
# KaTeX's version is the one that sphinxcontrib-katex renders with; tests/test_site.py compares them.
set -euo pipefail
katex=0.16.22
serif=5.3.1
static="$(cd "$(dirname "$0")" && pwd)/_static"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

tar xzf "$(npm pack --silent "katex@$katex")"
rm -rf "$static/katex" && mkdir -p "$static/katex/fonts"
cp package/LICENSE "$static/katex/"
cp package/dist/fonts/*.woff2 "$static/katex/fonts/"
# Every browser that can run the book reads woff2: leave the two older formats out.
sed -E 's/,url\([^)]*\.(woff|ttf)\) format\("[a-z]+"\)//g' package/dist/katex.min.css \
  > "$static/katex/katex.min.css"

rm -rf package && tar xzf "$(npm pack --silent "@fontsource/source-serif-4@$serif")"
rm -rf "$static/fonts" && mkdir -p "$static/fonts"
cp package/LICENSE "$static/fonts/"
for style in 400-normal 400-italic 600-normal; do
  cp "package/files/source-serif-4-latin-$style.woff2" "$static/fonts/"
done
