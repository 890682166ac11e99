// How a film gets onto a canvas: by WebGL2 with whole numbers in a texture, or without it, pixel by pixel. Both look up
// the same list of grays, so both show the same.
//
//   painter.level(level)   {width, height, across, down, places}: film pixels per pixel of it are across and down
//   painter.grays(grays)   Uint8Array, one gray for each place
//   painter.draw(matrix, smooth)   from film to canvas pixels
//   painter.read(x, y, width, height)   grays on the canvas, right after `draw`

import { inverse } from "./viewer_geometry.js";

const CORNERS = `#version 300 es
void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0); }`;

const PIXELS = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
uniform usampler2D film;
uniform sampler2D grays;
uniform mat3x2 back; // from canvas to pixels of the level
uniform float canvasHeight;
uniform bool isSmooth;
out vec4 color;

float place(ivec2 at) {
  return float(texelFetch(film, clamp(at, ivec2(0), textureSize(film, 0) - 1), 0).r);
}

float between(vec2 at) {
  vec2 corner = floor(at - 0.5);
  vec2 share = at - 0.5 - corner;
  ivec2 first = ivec2(corner);
  float above = mix(place(first), place(first + ivec2(1, 0)), share.x);
  float below = mix(place(first + ivec2(0, 1)), place(first + ivec2(1, 1)), share.x);
  return floor(mix(above, below, share.y) + 0.5);
}

void main() {
  vec2 at = back * vec3(gl_FragCoord.x, canvasHeight - gl_FragCoord.y, 1.0);
  vec2 size = vec2(textureSize(film, 0));
  if (at.x < 0.0 || at.y < 0.0 || at.x >= size.x || at.y >= size.y) {
    color = vec4(0.0, 0.0, 0.0, 1.0);
    return;
  }
  int found = int(isSmooth ? between(at) : place(ivec2(floor(at))));
  float gray = texelFetch(grays, ivec2(found & 255, found >> 8), 0).r;
  color = vec4(gray, gray, gray, 1.0);
}`;

/** The better painter that this browser has. wanted: "auto", "webgl2" or "2d". */
export function makePainter(canvas, wanted = "auto") {
  if (wanted !== "2d") {
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, desynchronized: false });
    if (gl) return new TexturePainter(canvas, gl);
    if (wanted === "webgl2") throw new Error("this browser has no WebGL2");
  }
  return new PixelPainter(canvas);
}

export class TexturePainter {
  constructor(canvas, gl) {
    this.name = "webgl2";
    this.canvas = canvas;
    this.gl = gl;
    this.largest = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    this.shown = null;
    this.prepare();
  }

  /** Anew after the context was lost. The program is compiled beside us; who asks for it too early waits for it. */
  prepare() {
    const gl = this.gl;
    this.program = begun(gl);
    this.places = null;
    this.film = texture(gl);
    this.table = texture(gl);
    this.shown = null;
    gl.bindVertexArray(gl.createVertexArray());
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  }

  level(level) {
    if (this.shown === level) return;
    const gl = this.gl;
    gl.bindTexture(gl.TEXTURE_2D, this.film);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16UI, level.width, level.height, 0, gl.RED_INTEGER, gl.UNSIGNED_SHORT, level.places);
    this.shown = level;
  }

  grays(grays) {
    const table = new Uint8Array(65536);
    table.set(grays);
    const gl = this.gl;
    gl.bindTexture(gl.TEXTURE_2D, this.table);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, 256, 256, 0, gl.RED, gl.UNSIGNED_BYTE, table);
  }

  draw(matrix, smooth) {
    const { gl, canvas, shown } = this;
    this.places ??= finished(gl, this.program);
    const back = inverse(matrix);
    const [across, down] = [shown.across, shown.down];
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.useProgram(this.program);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.film);
    gl.uniform1i(this.places.film, 0);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.table);
    gl.uniform1i(this.places.grays, 1);
    gl.activeTexture(gl.TEXTURE0);
    gl.uniformMatrix3x2fv(this.places.back, false, back.map((number, place) => number / (place % 2 ? down : across)));
    gl.uniform1f(this.places.canvasHeight, canvas.height);
    gl.uniform1i(this.places.isSmooth, smooth ? 1 : 0);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    return !gl.isContextLost();
  }

  read(x, y, width, height) {
    const colors = new Uint8Array(4 * width * height);
    const gl = this.gl;
    gl.readPixels(x, this.canvas.height - y - height, width, height, gl.RGBA, gl.UNSIGNED_BYTE, colors);
    const grays = new Uint8Array(width * height);
    for (let row = 0; row < height; row++) for (let column = 0; column < width; column++) grays[row * width + column] = colors[4 * ((height - 1 - row) * width + column)];
    return grays;
  }
}

export class PixelPainter {
  constructor(canvas) {
    this.name = "2d";
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", { alpha: false });
    this.sheet = document.createElement("canvas");
    this.largest = Infinity;
    this.shown = null;
    this.table = null;
    this.stale = true;
  }

  prepare() {
    this.stale = true;
  }

  level(level) {
    this.stale ||= this.shown !== level;
    this.shown = level;
  }

  grays(grays) {
    this.table = grays;
    this.stale = true;
  }

  draw([a, b, c, d, e, f], smooth) {
    const { pen, canvas, shown } = this;
    if (this.stale) this.develop();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingEnabled = smooth;
    pen.imageSmoothingQuality = "medium";
    pen.setTransform(a * shown.across, b * shown.across, c * shown.down, d * shown.down, e, f);
    pen.drawImage(this.sheet, 0, 0);
    return true;
  }

  read(x, y, width, height) {
    const colors = this.pen.getImageData(x, y, width, height).data;
    return Uint8Array.from({ length: width * height }, (_, place) => colors[4 * place]);
  }

  /** The level as a picture with the grays of this moment. */
  develop() {
    const { width, height, places } = this.shown;
    const picture = new ImageData(width, height);
    const colors = new Uint32Array(picture.data.buffer);
    const table = Uint32Array.from(this.table, (gray) => 0xff000000 | (gray << 16) | (gray << 8) | gray);
    for (let at = 0; at < places.length; at++) colors[at] = table[places[at]];
    [this.sheet.width, this.sheet.height] = [width, height];
    this.sheet.getContext("2d").putImageData(picture, 0, 0);
    this.stale = false;
  }
}

function begun(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, CORNERS], [gl.FRAGMENT_SHADER, PIXELS]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  return program;
}

/** Where its uniforms are. */
function finished(gl, program) {
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(`the shader does not link: ${gl.getProgramInfoLog(program)}`);
  return Object.fromEntries(["film", "grays", "back", "canvasHeight", "isSmooth"].map((name) => [name, gl.getUniformLocation(program, name)]));
}

function texture(gl) {
  const made = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, made);
  for (const [name, value] of [[gl.TEXTURE_MIN_FILTER, gl.NEAREST], [gl.TEXTURE_MAG_FILTER, gl.NEAREST], [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE]]) gl.texParameteri(gl.TEXTURE_2D, name, value);
  return made;
}
