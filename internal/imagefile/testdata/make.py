"""Writes the image files of this folder and expected.txt: see README.md."""

import io
import os
import struct
import subprocess
import zlib

import numpy as np
from PIL import Image

H, W = 5, 7
y, x = np.mgrid[:H, :W]
rgb = np.stack([x * 42, y * 63, 255 - x * 20 - y * 30], 2).astype(np.uint8)
rgb[1, 2] = [255, 0, 0]
rgb[3, 5] = [0, 0, 255]
gray = (x * 30 + y * 18).astype(np.uint8)
gray[0, 1] = 255
two = ((x * 3 + y * 5) % 7 < 3).astype(np.uint8) * 255
alpha = np.clip(255 - y * 60 - x * 2, 0, 255).astype(np.uint8)
alpha[:, 0] = 0
RGB, L, B = Image.fromarray(rgb), Image.fromarray(gray), Image.fromarray(two).convert("1")
A = Image.fromarray(alpha)
RGBA, LA = Image.merge("RGBA", (*RGB.split(), A)), Image.merge("LA", (L, A))
P = RGB.quantize(16)
P4 = RGB.quantize(4)
deep = (gray.astype(np.uint16) * 257 - (gray > 9) * 100).astype(np.uint16)
I16 = Image.fromarray(deep)
lines = []


def on_white(image):
    """The image as Pillow shows it on white."""
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def expect(name, pixels, tolerance=0):
    if isinstance(pixels, Image.Image):
        pixels = np.asarray(on_white(pixels))
    h, w = pixels.shape[:2]
    lines.append(f"{name}\t{h}x{w}\t{tolerance}\t{pixels.astype(np.uint8).tobytes().hex()}")


def refuse(name, text):
    lines.append(f"{name}\trefused\t{text}")


def save(name, image, tolerance=0, pixels=None, **options):
    image.save(name, **options)
    expect(name, Image.open(name) if pixels is None else pixels, tolerance)


def run(*command):
    subprocess.run(command, check=True)


def convert(*arguments):
    run("/usr/bin/convert", *arguments)


def grays(v):
    return np.stack([v] * 3, 2)


def exif(o, big):
    e = ">" if big else "<"
    return (b"MM\0*" if big else b"II*\0") + struct.pack(e + "IHHHIHHI", 8, 1, 274, 3, 1, o, 0, 0)


def insert(data, at, more):
    return data[:at] + more + data[at:]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bytes_of(image, format, **options):
    b = io.BytesIO()
    image.save(b, format, **options)
    return b.getvalue()


# Orientations.
turns = [None, None, Image.FLIP_LEFT_RIGHT, Image.ROTATE_180, Image.FLIP_TOP_BOTTOM,
         Image.TRANSPOSE, Image.ROTATE_270, Image.TRANSVERSE, Image.ROTATE_90]
for o in range(1, 9):
    turn = lambda image: image if o == 1 else image.transpose(turns[o])
    tags = exif(o, o % 2 == 0)
    save(f"turn{o}.jpg", L, 3, turn(L), quality=100, exif=b"Exif\0\0" + tags)
    save(f"turn{o}.webp", RGB, 0, turn(RGB), lossless=True, exif=tags)
    save(f"turn{o}.tif", RGB, 0, turn(RGB), tiffinfo={274: o})
    png = bytes_of(RGB, "PNG")
    open(f"turn{o}.png", "wb").write(insert(png, 33, chunk(b"eXIf", tags)))
    expect(f"turn{o}.png", turn(RGB))
png = bytes_of(I16, "PNG")
open("turn6-after.png", "wb").write(png[:-12] + chunk(b"eXIf", exif(6, True)) + png[-12:])
expect("turn6-after.png", Image.fromarray(gray).transpose(Image.ROTATE_270), 1)
text = "\nexif\n" + f"{len(exif(8, False)) + 6:8d}\n" + (b"Exif\0\0" + exif(8, False)).hex() + "\n"
open("turn8-old.png", "wb").write(insert(bytes_of(RGBA, "PNG"), 33, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text.encode()))))
expect("turn8-old.png", RGBA.transpose(Image.ROTATE_90), 1)
text = "\ngeneric profile\n" + f"{len(exif(5, True)) + 6:8d}\n" + (b"Exif\0\0" + exif(5, True)).hex() + "\n"
open("turn5-text.png", "wb").write(insert(bytes_of(L, "PNG"), 33, chunk(b"tEXt", b"Raw profile type APP1\0" + text.encode())))
expect("turn5-text.png", L.transpose(Image.TRANSPOSE))
for name, tags in {"damaged": b"II*\0\xff\xff\xff\xff", "unknown": exif(9, True), "short": exif(6, True)[:14], "empty": b""}.items():
    open(f"exif-{name}.jpg", "wb").write(insert(bytes_of(L, "JPEG", quality=100), 2, b"\xff\xe1" + struct.pack(">H", 8 + len(tags)) + b"Exif\0\0" + tags))
    expect(f"exif-{name}.jpg", L, 3)
fill = insert(bytes_of(L, "JPEG", quality=100), 2, b"\xff" * 3 + b"\xff\xe1" + struct.pack(">H", 8 + 26) + b"Exif\0\0" + exif(3, True))
open("turn3-fill.jpg", "wb").write(fill)
expect("turn3-fill.jpg", L.transpose(Image.ROTATE_180), 3)

# PNG.
for name, image in {"rgb": RGB, "gray": L, "1": B, "rgba": RGBA, "gray-alpha": LA, "palette4": P, "palette2": P4}.items():
    save(f"{name}.png", image, 1 if "a" in image.mode.lower() else 0)
save("rgb-trns.png", RGB, transparency=(255, 0, 0))
save("gray-trns.png", L, transparency=255)
save("palette-trns.png", P, 1, transparency=bytes(range(0, 256, 16)))
save("1-trns.png", B, transparency=0)
save("gray16.png", I16, 1, grays(deep >> 8))
convert("rgba.png", "-depth", "16", "-define", "png:bit-depth=16", "rgba16.png")
expect("rgba16.png", RGBA, 1)
convert("rgb.png", "-interlace", "PNG", "interlaced.png")
expect("interlaced.png", RGB)
convert("1.png", "-interlace", "PNG", "interlaced1.png")
expect("interlaced1.png", B)
def png_file(name, bits, kind, rows, *chunks):
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, bits, kind, 0, 0, 0))
    open(name, "wb").write(head + b"".join(chunks) + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in rows))) + chunk(b"IEND", b""))


# Transparent colors of 16 bits: only a pixel with all 16 bits is transparent.
t = deep.copy()
t[2, 3] = deep[0, 1]
t[2, 4] = deep[0, 1] - 1
white = grays(t >> 8)
white[(t == deep[0, 1])] = 255
png_file("gray16-trns.png", 16, 0, [r.astype(">u2").tobytes() for r in t], chunk(b"tRNS", struct.pack(">H", deep[0, 1])))
expect("gray16-trns.png", white)
wide = rgb.astype(np.uint16) * 256 + 17
wide[3, 3] = wide[1, 2] + [0, 0, 1]
white = (wide >> 8).astype(np.uint8)
white[1, 2] = 255
png_file("rgb16-trns.png", 16, 2, [r.astype(">u2").tobytes() for r in wide], chunk(b"tRNS", struct.pack(">HHH", *wide[1, 2])))
expect("rgb16-trns.png", white)
ga = np.dstack([deep, alpha.astype(np.uint16) * 257])
png_file("gray-alpha16.png", 16, 4, [r.astype(">u2").tobytes() for r in ga])
expect("gray-alpha16.png", grays((deep.astype(float) * alpha / 255 + 65535 * (1 - alpha / 255.0)) / 257), 1)
for bits in 2, 4:
    v = gray >> (8 - bits)
    lines_of = [np.packbits(np.unpackbits(r[:, None], axis=1)[:, 8 - bits:]).tobytes() for r in v]
    png_file(f"gray{bits}.png", bits, 0, lines_of)
    shown = grays(v * (255 // (2**bits - 1)))
    expect(f"gray{bits}.png", shown)
    png_file(f"gray{bits}-trns.png", bits, 0, lines_of, chunk(b"tRNS", b"\0\1"))
    expect(f"gray{bits}-trns.png", np.where(v[..., None] == 1, 255, shown))
RGB.save("animated.png", save_all=True, append_images=[RGB.transpose(Image.ROTATE_180)])
expect("animated.png", RGB)

# JPEG. Decoders may differ by 3 in the inverse cosine transform and the colors.
best = dict(quality=100, subsampling=0)
save("rgb.jpg", RGB, 3, **best)
save("progressive.jpg", RGB, 3, progressive=True, **best)
save("gray.jpg", L, 3, quality=100)
cmyk = Image.merge("CMYK", [Image.fromarray(v) for v in (255 - rgb[..., 0], 255 - rgb[..., 1], 255 - rgb[..., 2], gray // 3)])
save("cmyk-adobe.jpg", cmyk, 4, **best)
adobe = bytes_of(cmyk, "JPEG", **best)
at = adobe.index(b"\xff\xee")
open("cmyk.jpg", "wb").write(adobe[:at] + adobe[at + 16:])
refuse("cmyk.jpg", "a JPEG with four colors (CMYK) but without Adobe's marker")
stored = bytes_of(Image.merge("YCbCr", RGB.split()), "JPEG", **best)
assert stored[2:4] == b"\xff\xe0"
marker = lambda transform: b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])
open("rgb-adobe.jpg", "wb").write(stored[:2] + marker(0) + stored[20:])
expect("rgb-adobe.jpg", RGB, 3)
plain = bytes_of(RGB, "JPEG", **best)
open("ycbcr-adobe.jpg", "wb").write(plain[:2] + marker(1) + plain[20:])
expect("ycbcr-adobe.jpg", Image.open("ycbcr-adobe.jpg"), 3)
ycck = bytes_of(cmyk, "JPEG", **best)  # the same inks with another transform
ycc = Image.merge("RGB", [Image.fromarray(255 - np.asarray(v)) for v in cmyk.split()[:3]]).convert("YCbCr")
# Adobe stores inverted inks; Y, Cb and Cr are those of the inverted cyan, magenta and yellow.
four = Image.merge("CMYK", [Image.fromarray(255 - np.asarray(v)) for v in ycc.split()] + [cmyk.split()[3]])
ycck = bytes_of(four, "JPEG", **best)
at = ycck.index(b"\xff\xee")
open("ycck-adobe.jpg", "wb").write(ycck[:at] + marker(2) + ycck[at + 16:])
expect("ycck-adobe.jpg", Image.open("ycck-adobe.jpg"), 5)
names = plain[:2] + marker(1) + plain[20:]
for old, new in (b"\x01\x11\x00", b"R\x11\x00"), (b"\x02\x11\x01", b"G\x11\x01"), (b"\x03\x11\x01", b"B\x11\x01"), (b"\x03\x01\x00\x02\x11\x03\x11", b"\x03R\x00G\x11B\x11"):
    assert old in names
    names = names.replace(old, new, 1)
open("names-adobe.jpg", "wb").write(names)
refuse("names-adobe.jpg", "a JPEG whose components are named RGB although Adobe's marker says that they are not")
for name, sof, bits, text in ("lossless", 0xC3, 8, "a lossless JPEG"), ("arithmetic", 0xC9, 8, "arithmetic coding"), ("hierarchical", 0xC5, 8, "a hierarchical JPEG"), ("12bit", 0xC1, 12, "12 bits per color"), ("ls", 0xF7, 8, "a JPEG-LS file"):
    j = bytearray(plain)
    at = j.index(b"\xff\xc0")
    j[at + 1], j[at + 4] = sof, bits
    open(f"{name}.jpg", "wb").write(j)
    refuse(f"{name}.jpg", text)

# GIF.
save("palette.gif", P)
save("transparent.gif", P, transparency=3)
save("interlaced.gif", P, interlace=1)
P.save("animated.gif", save_all=True, append_images=[P4], duration=100)
expect("animated.gif", P)
convert("palette.gif", "-repage", "10x8+2+1", "frame.gif")
canvas = np.full((8, 10, 3), 255, np.uint8)
canvas[1:1 + H, 2:2 + W] = np.asarray(P.convert("RGB"))
expect("frame.gif", canvas)


# BMP.
def bmp(name, bits, rows, palette=b"", top=False, compression=0, size=40, masks=b"", width=W):
    data = b"".join(r + b"\0" * (-len(r) % 4) for r in (rows if top else rows[::-1]))
    head = struct.pack("<IiiHHIIiiII", size, width, -len(rows) if top else len(rows), 1, bits, compression, len(data), 0, 0, len(palette) // 4, 0) + masks
    head += b"\0" * (size - len(head))
    offset = 14 + len(head) + len(palette)
    open(name, "wb").write(b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + head + palette + data)


for name, image in {"rgb": RGB, "gray": L, "1": B, "palette4": P}.items():
    save(f"{name}.bmp", image)
bgr = rgb[..., ::-1]
bgra0 = np.dstack([bgr, np.zeros((H, W), np.uint8)])
bgra = np.dstack([bgr, alpha])
each = lambda v: [r.tobytes() for r in v]
masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
bmp("top-down.bmp", 24, each(bgr), top=True)
expect("top-down.bmp", RGB)
bmp("32.bmp", 32, each(bgra0))
expect("32.bmp", RGB)
bmp("32-v5.bmp", 32, each(bgra0), size=124)
expect("32-v5.bmp", RGB)
bmp("32-v5-unused.bmp", 32, each(bgra), size=124)
expect("32-v5-unused.bmp", RGB)
bmp("32-alpha.bmp", 32, each(bgra), compression=3, size=124, masks=masks)
expect("32-alpha.bmp", RGBA, 1)
bmp("32-no-alpha.bmp", 32, each(bgra0), compression=3, size=124, masks=masks)
expect("32-no-alpha.bmp", RGB)
bmp("4.bmp", 4, [bytes([(r[i] >> 4) << 4 | (r[i + 1] >> 4 if i + 1 < W else 0) for i in range(0, W, 2)]) for r in gray.tolist()],
    palette=b"".join(bytes([i * 17] * 3 + [0]) for i in range(16)))
expect("4.bmp", grays((gray >> 4) * 17))
bmp("2.bmp", 2, [np.packbits(np.unpackbits(r[:, None], axis=1)[:, 6:]).tobytes() for r in gray >> 6],
    palette=b"".join(bytes([i * 85] * 3 + [0]) for i in range(4)))
expect("2.bmp", grays((gray >> 6) * 85))
convert("palette4.png", "-compress", "RLE", "BMP3:rle.bmp")
refuse("rle.bmp", "a BMP with run-length compression")
bmp("16.bmp", 16, [b"\0\0" * W] * H)
refuse("16.bmp", "a BMP with 16 bits per pixel")
convert("palette4.png", "BMP2:os2.bmp")
refuse("os2.bmp", "a BMP with a header of 12 bytes")
bmp("png.bmp", 0, [b"\0"] * H, compression=5)
refuse("png.bmp", "a BMP that contains a JPEG or PNG file")
bmp("masks.bmp", 32, each(bgra0), compression=3, size=124, masks=struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0))
refuse("masks.bmp", "a BMP with unusual masks of its colors")

# WebP. Decoders differ in how they enlarge the colors of the lossy format.
save("gray.webp", L, 4, quality=100)
for name, v in ("black", 0), ("white", 255):
    save(f"{name}.webp", Image.new("L", (W, H), v), quality=90)
for name in "red", "blue":
    save(f"{name}.webp", Image.new("RGB", (W, H), name), 3, quality=100)
save("rgb.webp", RGB, lossless=True)
save("alpha.webp", RGBA, 1, lossless=True, exact=True)
save("lossy-alpha.webp", LA.convert("RGBA"), 4, quality=100, exact=True)
RGB.save("animated.webp", save_all=True, append_images=[RGB.transpose(Image.ROTATE_180)], lossless=True)
refuse("animated.webp", "an animated WebP")

# TIFF.
save("rgb.tif", RGB)
save("gray.tif", L)
save("1.tif", B)
save("lzw.tif", RGB, compression="tiff_lzw")
save("deflate.tif", RGB, compression="tiff_adobe_deflate")
save("packbits.tif", L, compression="packbits")
save("rgba.tif", RGBA, 1)
save("palette.tif", P)
save("gray16.tif", I16, 0, grays(deep >> 8))
for polarity in "white", "black":
    option = f"quantum:polarity=min-is-{polarity}"
    for order in "msb", "lsb":
        convert("1.png", "-depth", "1", "-define", option, "-define", f"tiff:fill-order={order}", "-compress", "Group4", f"{polarity}-g4-{order}.tif")
        expect(f"{polarity}-g4-{order}.tif", B)
    run("tiffcp", "-c", "g3", f"{polarity}-g4-msb.tif", f"{polarity}-g3.tif")
    expect(f"{polarity}-g3.tif", B)
run("tiffcp", "-t", "-w", "16", "-l", "16", "1.tif", "tiles.tif")
expect("tiles.tif", B)
run("tiffcp", "-r", "2", "-c", "g4", "1.tif", "strips-g4.tif")
expect("strips-g4.tif", B)
run("tiffcp", "-c", "lzw:2", "rgb.tif", "predictor.tif")
expect("predictor.tif", RGB)
convert("rgb.png", "-depth", "16", "rgb16.tif")
expect("rgb16.tif", RGB)
convert("rgb.png", "gray.png", "pages.tif")
expect("pages.tif", RGB)
low = np.asarray(P.getpalette("RGB")[:48]).reshape(16, 3)
P.save("palette-low.tif")
t = open("palette-low.tif", "rb").read()
full = [v for c in range(3) for v in (low[:, c].tolist() + [0] * 256)[:256]]
at = next(i for i in range(len(t) - 1536) if all(struct.unpack_from("<H", t, i + 2 * (c * 256 + k))[0] >> 8 == full[c * 256 + k] for c in range(3) for k in range(16)) and struct.unpack_from("<H", t, i)[0] & 255 in (0, full[0]))
open("palette-low.tif", "wb").write(t[:at] + struct.pack("<768H", *[v >> 8 for v in struct.unpack_from("<768H", t, at)]) + t[at + 1536:])
expect("palette-low.tif", P)
run("tiffcp", "-p", "separate", "rgb.tif", "planes.tif")
refuse("planes.tif", "a TIFF with one plane per color")
run("tiffcp", "-f", "lsb2msb", "-c", "packbits", "1.tif", "reversed.tif")
refuse("reversed.tif", "a TIFF with the bits of a byte in reversed order")
run("tiffcp", "-c", "g3:2d", "1.tif", "g3-2d.tif")
refuse("g3-2d.tif", "a variant of fax compression (T4Options 1)")
run("tiffcp", "-8", "rgb.tif", "big.tif")
refuse("big.tif", "BigTIFF")
B.save("huffman.tif", compression="tiff_ccitt")
refuse("huffman.tif", "a TIFF with CCITT (modified Huffman) compression")
RGB.save("jpeg.tif", compression="jpeg")
refuse("jpeg.tif", "a TIFF with JPEG compression")
cmyk.save("cmyk.tif")
refuse("cmyk.tif", "a TIFF with CMYK")
RGB.convert("LAB").save("lab.tif")
refuse("lab.tif", "a TIFF with CIE L*a*b*")
RGB.convert("YCbCr").save("ycbcr.tif", compression="tiff_lzw")
refuse("ycbcr.tif", "a TIFF with YCbCr")
convert("rgba.png", "-depth", "16", "rgba16.tif")
expect("rgba16.tif", RGBA, 1)
RGB.save("zstd.tif", compression="zstd")
refuse("zstd.tif", "a TIFF with Zstandard compression")
LA.save("gray-alpha.tif")
refuse("gray-alpha.tif", "a TIFF with grays (black is zero) and 1 more values per pixel")
convert("gray.png", "-depth", "4", "gray4.tif")
refuse("gray4.tif", "a TIFF with 4 bits per sample and grays")
Image.fromarray(gray.astype(np.float32)).save("float.tif")
refuse("float.tif", "a TIFF with signed or floating-point values")
Image.fromarray(gray.astype(np.int32)).save("signed.tif")
refuse("signed.tif", "a TIFF with signed or floating-point values")


def tiff(name, tags, data, big=False):
    """A TIFF of one strip with the tags, all of one LONG."""
    e = ">" if big else "<"
    tags = ({256: W, 257: H, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: H, 279: len(data)} | tags)
    tags = {k: v for k, v in tags.items() if v is not None}
    entries = b"".join(struct.pack(e + "HHII", k, 4, 1, v) for k, v in sorted(tags.items()))
    start = b"MM\0*" if big else b"II*\0"
    open(name, "wb").write(start + struct.pack(e + "I", 8 + len(data)) + data + struct.pack(e + "H", len(tags)) + entries + b"\0" * 4)


for polarity, flip in (1, 0), (0, 255):
    for big in False, True:
        name = ("black" if polarity else "white") + ("-big" if big else "")
        tiff(f"{name}-8.tif", {262: polarity}, (gray ^ flip).tobytes(), big)
        expect(f"{name}-8.tif", L)
        tiff(f"{name}-16.tif", {262: polarity, 258: 16}, (deep ^ (flip * 257)).astype(">u2" if big else "<u2").tobytes(), big)
        expect(f"{name}-16.tif", grays(deep >> 8))
        tiff(f"{name}-1.tif", {262: polarity, 258: 1}, np.packbits(two ^ flip, axis=1).tobytes(), big)
        expect(f"{name}-1.tif", B)
tiff("long-tags.tif", {274: 3}, gray.tobytes())
expect("long-tags.tif", L.transpose(Image.ROTATE_180))
for name, tags, text in (
    ("thumbnail", {254: 1}, "a TIFF that begins with a reduced copy of its image"),
    ("no-meaning", {262: None}, "does not say what its values mean"),
    ("samples", {277: 2}, "2 samples per pixel but the bits of 1"),
    ("predictor-none", {317: 2}, "predictor 2 and compression 1"),
    ("meaning", {262: 77}, "values of an unknown meaning (PhotometricInterpretation 77)"),
    ("raw", {262: 32803}, "a camera's color filters"),
    ("12bit", {258: 12}, "12 bits per sample and grays"),
    ("2bit", {258: 2}, "2 bits per sample and grays"),
    ("32bit", {258: 32}, "32 bits per sample and grays"),
    ("5samples", {258: None, 277: 5}, "5 samples per pixel but the bits of 1"),
    ("palette16", {262: 3, 258: 16}, "16 bits per sample and a palette"),
):
    tiff(f"{name}.tif", tags, gray.tobytes() * 2)
    refuse(f"{name}.tif", text)

open("expected.txt", "w").write("\n".join(sorted(lines)) + "\n")
