/**
 * Functions of four f32 lanes, to a few units in the last place: WGSL promises far less (an absolute error of 2^-11 for sin, nothing for erf), and nothing at all about
 * infinities and NaN. So those are told by their bits and put in by hand. The fits are those of the wasm device.
 */
interface MathFunction {
  readonly needs?: readonly string[];
  readonly code: string;
}

const polynomial = (x: string, terms: readonly number[]): string =>
  terms.slice(0, -1).reduceRight((sum, term) => `fma(${sum}, ${x}, V(${f(term)}))`, `V(${f(terms.at(-1)!)})`);
const f = (value: number): string => {
  const text = String(Math.fround(value));
  return /[.e]/.test(text) ? text : `${text}.0`;
};

const expTerms = [0.5, 0.166665181517601, 0.04166620224714279, 0.008369024842977524, 0.0013950725551694632];
/** Of -(e^-r - 1 + r) / r^2. */
const sigmoidTerms = expTerms.map((term, i) => (i % 2 === 0 ? -term : term));
const expm1Terms = [0.5, 0.1666666716337204, 0.04166635125875473, 0.00833327230066061, 0.0013941207434982061, 0.00019914409494958818];
const tanhTerms = [2, -1.99999988079071, 1.3333234786987305, -0.6666752099990845, 0.2677305638790131, -0.0888480618596077];
const logTerms = [
  0.3333333134651184, -0.250008225440979, 0.20001234114170074, -0.16623298823833466, 0.14201553165912628, -0.1316058188676834,
  0.12763327360153198, -0.07635654509067535,
];
const erfSmall = [
  0.12837915122509003, -0.3761249780654907, 0.11281841993331909, -0.026767021045088768, 0.004993155598640442, -0.0005988134071230888,
];
const erfLarge = [
  1.1286485195159912, 0.6351513266563416, 0.10623687505722046, -0.023762060329318047, 0.0036424577701836824, -0.00032280353480018675,
  1.1231270036660135e-5,
];
const sinTerms = [-0.16666655242443085, 0.008332173340022564, -0.00019516656175255775];
const cosTerms = [0.04166664555668831, -0.001388736185617745, 2.4437727915938012e-5];

const functions: Readonly<Record<string, MathFunction>> = {
  // Through a parameter, because a constant expression may not be infinite; grid_x & 0 is zero.
  infinity: { code: "fn infinity() -> V { return bitcast<V>(vec4<u32>(0x7f800000u | (p.grid_x & 0u))); }" },
  nan: { code: "fn nan() -> V { return bitcast<V>(vec4<u32>(0x7fc00000u | (p.grid_x & 0u))); }" },
  is_nan: { code: "fn is_nan(x: V) -> vec4<bool> { return (bitcast<vec4<i32>>(x) & vec4<i32>(0x7fffffff)) > vec4<i32>(0x7f800000); }" },
  // Of whole numbers from -126 to 127: adding 1.5 * 2^23 + 127 leaves the biased exponent in the low bits, without a conversion, which WGSL has to guard.
  two_to: { code: "fn two_to(n: V) -> V { return bitcast<V>(bitcast<vec4<u32>>(n + 12583039.0) << vec4<u32>(23u)); }" },
  // The first of two where it is NaN, then the second: what min and max lose.
  nan_of: {
    needs: ["is_nan"],
    code: "fn nan_of(result: V, x: V, y: V) -> V { return select(select(result, y, is_nan(y)), x, is_nan(x)); }",
  },
  copy_sign: {
    code: "fn copy_sign(x: V, sign: V) -> V { return bitcast<V>((bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) | (bitcast<vec4<u32>>(sign) & vec4<u32>(0x80000000u))); }",
  },
  // x = n ln 2 + r; ln 2 in two parts, the first so short that n times it is exact. 2^n is applied in two factors.
  m_exp: {
    needs: ["is_nan", "two_to"],
    code: `fn m_exp(x: V) -> V {
  let c = clamp(x, V(-104.0), V(89.0));
  let n = round(c * 1.4426950408889634);
  let r = fma(n, V(2.1219444e-4), fma(n, V(-0.693359375), c));
  let e = fma(r * r, ${polynomial("r", expTerms)}, r) + 1.0;
  let half = floor(n * 0.5);
  let scaled = e * two_to(half) * two_to(n - half);
  return select(scaled, x, is_nan(x));
}`,
  },
  m_expm1: {
    needs: ["is_nan", "two_to"],
    code: `fn m_expm1(x: V) -> V {
  let c = clamp(x, V(-18.0), V(89.0));
  let n = round(c * 1.4426950408889634);
  let r = fma(n, V(2.1219444e-4), fma(n, V(-0.693359375), c));
  let small = fma(r * r, ${polynomial("r", expm1Terms)}, r);
  // Half the size, so that 2^128 is never needed.
  let scale = two_to(n - 1.0);
  let half = fma(scale, small, scale - 0.5);
  return select(half + half, x, is_nan(x) | (abs(x) < V(1.4901161e-8)));
}`,
  },
  // -x = n ln 2 - r, between the largest power that is finite and the smallest that is normal.
  m_sigmoid: {
    needs: ["is_nan", "two_to"],
    code: `fn m_sigmoid(x: V) -> V {
  let t = clamp(x, V(-88.0), V(87.0));
  let n = round(t * -1.4426950408889634);
  let r = fma(n, V(-2.1219444e-4), fma(n, V(0.693359375), t));
  let e = 1.0 - fma(r * r, ${polynomial("r", sigmoidTerms)}, r);
  return select(1.0 / fma(e, two_to(n), V(1.0)), x, is_nan(x));
}`,
  },
  // m / (2 - m) with m = 1 - e^-2|x| to its relative accuracy near 0 too. -2|x| = n ln 2 - 2 r, |r| <= ln 2 / 4.
  m_tanh: {
    needs: ["copy_sign", "is_nan", "two_to"],
    code: `fn m_tanh(x: V) -> V {
  let t = min(abs(x), V(9.02));
  let n = round(t * -2.8853900817779268);
  let r = fma(n, V(-1.0609722e-4), fma(n, V(0.3466796875), t));
  let power = two_to(n);
  let m = fma(r * power, ${polynomial("r", tanhTerms)}, 1.0 - power);
  return select(copy_sign(m / (2.0 - m), x), x, is_nan(x));
}`,
  },
  m_erf: {
    needs: ["copy_sign", "is_nan"],
    code: `fn m_erf(x: V) -> V {
  let t = abs(x);
  let q = t * t;
  let near = fma(t, ${polynomial("q", erfSmall)}, t);
  let b = min(t, V(3.95));
  let far = 1.0 - exp(-(b * ${polynomial("b", erfLarge)}));
  return select(copy_sign(select(far, near, t < V(0.9275)), x), x, is_nan(x));
}`,
  },
  // k ln 2 + ln(1 + f) as a sum and what its rounding lost, for x positive and normal; k is given less \`bias\`.
  log_parts: {
    code: `struct LogParts { high: V, low: V }
fn log_parts(exponent: V, fraction: V) -> LogParts {
  let q = fraction * fraction;
  let tail = fma(q * fraction, ${polynomial("fraction", logTerms)}, fma(q, V(-0.5), exponent * -2.1219444e-4));
  let high = exponent * 0.693359375;
  let sum = high + fraction;
  let part = sum - high;
  let total = sum + tail;
  return LogParts(total, ((sum - total) + tail) + ((high - (sum - part)) + (fraction - part)));
}`,
  },
  split_log: {
    code: `struct Split { exponent: V, fraction: V }
fn split_log(x: V) -> Split {
  let bits = bitcast<vec4<i32>>(x);
  let k = (bits - vec4<i32>(0x3f3504f3)) >> vec4<u32>(23u);
  return Split(V(k), bitcast<V>(bits - (k << vec4<u32>(23u))) - 1.0);
}`,
  },
  // Infinity, -infinity and NaN where x is infinite, \`zero\`, and below it or NaN.
  log_limits: {
    needs: ["infinity", "nan", "is_nan"],
    code: `fn log_limits(x: V, zero: V, result: V) -> V {
  let finite = select(result, x, x == infinity());
  let positive = select(finite, nan(), (x < zero) | is_nan(x));
  return select(positive, -infinity(), x == zero);
}`,
  },
  m_log: {
    needs: ["log_parts", "split_log", "log_limits"],
    code: `fn m_log(x: V) -> V {
  let tiny = x < V(1.17549435e-38);
  let s = split_log(select(x, x * 8388608.0, tiny));
  let parts = log_parts(s.exponent - select(V(0.0), V(23.0), tiny), s.fraction);
  return log_limits(x, V(0.0), parts.high + parts.low);
}`,
  },
  m_log1p: {
    needs: ["log_parts", "split_log", "log_limits", "copy_sign"],
    code: `fn m_log1p(x: V) -> V {
  let sum = 1.0 + x;
  let back = sum - 1.0;
  let lost = (1.0 - (sum - back)) + (x - back);
  let s = split_log(sum);
  let scale = bitcast<V>(max(vec4<i32>(127) - vec4<i32>(s.exponent), vec4<i32>(0)) << vec4<u32>(23u));
  // Where 1 + x needs no scaling, x itself is the fraction.
  let parts = log_parts(s.exponent, select(fma(lost, scale, s.fraction), x, s.exponent == V(0.0)));
  return log_limits(x, V(-1.0), copy_sign(parts.high + parts.low, x));
}`,
  },
  m_pow: {
    needs: ["m_exp", "log_parts", "split_log", "infinity", "nan", "is_nan"],
    code: `fn m_pow(x: V, y: V) -> V {
  let a = abs(x);
  let tiny = a < V(1.17549435e-38);
  let s = split_log(select(a, a * 8388608.0, tiny));
  let l = log_parts(s.exponent - select(V(0.0), V(23.0), tiny), s.fraction);
  let t = y * l.high;
  let low = fma(y, l.high, -t) + y * l.low;
  let inf = infinity();
  var power = m_exp(clamp(t, V(-200.0), V(200.0)));
  power = select(fma(power, low, power), power, (power == V(0.0)) | (power == inf));
  let grows = (y > V(0.0)) == (a > V(1.0));
  power = select(power, select(V(0.0), inf, grows), (a == inf) | (abs(y) == inf));
  power = select(power, select(V(0.0), inf, y < V(0.0)), a == V(0.0));
  let whole = trunc(y) == y;
  let odd = whole & (trunc(y * 0.5) * 2.0 != y) & (abs(y) < V(16777216.0));
  let sign = (bitcast<vec4<u32>>(x) & vec4<u32>(0x80000000u)) * select(vec4<u32>(0u), vec4<u32>(1u), odd);
  power = bitcast<V>(bitcast<vec4<u32>>(power) ^ sign);
  power = select(power, nan(), (x < V(0.0)) & (a != inf) & !whole);
  power = select(power, nan(), is_nan(x) | is_nan(y));
  return select(power, V(1.0), (x == V(1.0)) | (y == V(0.0)) | ((a == V(1.0)) & (abs(y) == inf)));
}`,
  },
  m_mod: {
    code: `fn m_mod(x: V, y: V) -> V {
  // The quotient may be off by one where it rounds up.
  let r = fma(-trunc(x / y), y, x);
  let width = copysign_like(abs(y), x);
  let low = select(r, r + width, (r != V(0.0)) & ((r < V(0.0)) != (x < V(0.0))));
  return select(low, low - width, abs(low) >= abs(y));
}
fn copysign_like(x: V, sign: V) -> V { return select(x, -x, sign < V(0.0)); }`,
  },
  // x = n pi/2 + r. Up to 8192 with pi/2 in parts of 11 bits, n times which are exact; beyond with 2/pi to as many bits as it takes (Payne and Hanek 1983).
  turns: {
    code: `struct Turns { quadrant: vec4<i32>, rest: V }
fn high_product(a: u32, b: u32) -> u32 {
  let al = a & 0xffffu; let ah = a >> 16u; let bl = b & 0xffffu; let bh = b >> 16u;
  let middle = ah * bl + ((al * bl) >> 16u);
  let cross = al * bh + (middle & 0xffffu);
  return ah * bh + (middle >> 16u) + (cross >> 16u);
}
fn far_turn(x: f32) -> vec2<f32> {
  var words = array<u32, 8>(0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu);
  let bits = bitcast<u32>(x);
  let shift = (bits >> 23u) - 120u;
  let m = (bits & 0x7fffffu) | 0x800000u;
  let at = shift / 32u;
  let by = shift % 32u;
  var w = array<u32, 3>();
  for (var i = 0u; i < 3u; i++) {
    let high = words[min(at + i, 7u)];
    let low = words[min(at + i + 1u, 7u)];
    w[i] = select((high << by) | (low >> (32u - by)), high, by == 0u);
  }
  // The product of m with 96 bits of 2/pi that begin two bits above the point: higher ones are whole circles.
  let p2 = high_product(m, w[2]);
  let l1 = m * w[1];
  let s1 = l1 + p2;
  let s0 = m * w[0] + high_product(m, w[1]) + select(0u, 1u, s1 < l1);
  let quadrant = (s0 >> 30u) + ((s0 >> 29u) & 1u);
  let fraction = bitcast<i32>((s0 << 2u) | (s1 >> 30u));
  let rest = (f32(fraction) + f32((s1 << 2u) >> 8u) * 5.9604644775390625e-8) * 2.3283064365386963e-10 * 1.5707963267948966;
  return vec2<f32>(f32(quadrant & 3u), rest);
}
fn turns(x: V) -> Turns {
  let n = round(x * 0.6366197723675814);
  var r = fma(n, V(-1.5703125), x);
  r = fma(n, V(-4.837512969970703125e-4), r);
  r = fma(n, V(-7.54978995489188216e-8), r);
  var t = Turns(vec4<i32>(n), clamp(r, V(-0.8), V(0.8)));
  if (any(x > V(8192.0))) {
    for (var i = 0; i < 4; i++) {
      if (x[i] > 8192.0 && x[i] < 3e38) {
        let far = far_turn(x[i]);
        t.quadrant[i] = i32(far.x);
        t.rest[i] = far.y;
      }
    }
  }
  return t;
}
fn wave(t: Turns, shift: i32) -> V {
  let r = t.rest;
  let q = r * r;
  let sine = fma(r * q, ${polynomial("q", sinTerms)}, r);
  let cosine = fma(q * q, ${polynomial("q", cosTerms)}, fma(q, V(-0.5), V(1.0)));
  let k = t.quadrant + shift;
  let value = select(sine, cosine, (k & vec4<i32>(1)) != vec4<i32>(0));
  return select(value, -value, (k & vec4<i32>(2)) != vec4<i32>(0));
}`,
  },
  m_sin: {
    needs: ["turns", "infinity", "nan"],
    code: `fn m_sin(x: V) -> V {
  let s = wave(turns(abs(x)), 0);
  return select(select(s, -s, x < V(0.0)), nan(), !(abs(x) < infinity()));
}`,
  },
  m_cos: {
    needs: ["turns", "infinity", "nan"],
    code: "fn m_cos(x: V) -> V { return select(wave(turns(abs(x)), 1), nan(), !(abs(x) < infinity())); }",
  },
  // Round by round as random.ts of the tensor package has it.
  philox: {
    code: `fn mul_high(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let al = a & vec2<u32>(0xffffu); let ah = a >> vec2<u32>(16u); let bl = b & vec2<u32>(0xffffu); let bh = b >> vec2<u32>(16u);
  let middle = ah * bl + ((al * bl) >> vec2<u32>(16u));
  let cross = al * bh + (middle & vec2<u32>(0xffffu));
  return ah * bh + (middle >> vec2<u32>(16u)) + (cross >> vec2<u32>(16u));
}
fn philox(block: u32, ordinal: u32, words: vec4<u32>) -> vec4<u32> {
  var c = vec4<u32>(block, ordinal, words.z, words.w);
  var key = words.xy;
  for (var round = 0; round < 10; round++) {
    let factors = vec2<u32>(0xd2511f53u, 0xcd9e8d57u);
    let high = mul_high(c.xz, factors);
    let low = c.xz * factors;
    c = vec4<u32>(high.y ^ c.y ^ key.x, low.y, high.x ^ c.w ^ key.y, low.x);
    key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}`,
  },
};

/** The source of the functions of these names and of what they need. */
export function mathSource(names: Iterable<string>): string {
  const found = new Set<string>();
  const add = (name: string) => {
    if (found.has(name)) return;
    for (const needed of functions[name]?.needs ?? []) add(needed);
    found.add(name);
  };
  for (const name of names) if (name in functions) add(name);
  return found.size === 0 ? "" : `alias V = vec4<f32>;\n${[...found].map((name) => functions[name]!.code).join("\n")}\n`;
}
