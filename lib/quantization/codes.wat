;; §3.2.1 Values to codes, or to what their codes stand for; and the extent of values. Four at a time: counts are rounded up to
;; multiples of 4, and the memory behind the last value may be read and written. Addresses are bytes.
(module
  (memory (export "memory") 1)

  ;; clamp(round(v / scale) + zero), in double precision, ties to even. Scales and zeros come by turns: $period of them, doubles,
  ;; at least 4, with the first four again behind the last; value i has number ($phase + i) mod $period.
  ;; $kind: 0 stores signed bytes, 1 unsigned bytes, 2 and 3 the same of 16 bits, 4 floats: what the codes stand for.
  ;; Where there are less than 512 codes, $singles has the same tables in single precision, 1 / scale, zero and scale, each as
  ;; long in numbers as the others, and four values that all lie 2^-12 away from the middle of two levels take these: the
  ;; product with 1 / scale is off by 2^-14 at most where the code is not the lowest or the highest anyway. $singles is 0
  ;; otherwise.
  ;; Where the tables repeat after four, bytes are made sixteen at a time of what is so far from all middles.
  (func (export "codes")
    (param $at i32) (param $count i32) (param $to i32) (param $scales i32) (param $zeros i32) (param $period i32)
    (param $phase i32) (param $low f64) (param $high f64) (param $kind i32) (param $singles i32)
    (local $end i32) (local $row i32) (local $single i32) (local $size i32) (local $x v128) (local $lows4 v128) (local $highs4 v128) (local $v v128) (local $a v128) (local $b v128) (local $offset i32)
    (local $scaleA v128) (local $scaleB v128) (local $zeroA v128) (local $zeroB v128) (local $lows v128) (local $highs v128)
    (local $slow i32) (local $fast i32) (local $inverse4 v128) (local $zero4 v128) (local $far v128) (local $magic v128) (local $bits v128)
    (local $x2 v128) (local $x3 v128) (local $x4 v128) (local $a2 v128) (local $a3 v128) (local $a4 v128)
    (local.set $far (v128.const f32x4 0.499755859375 0.499755859375 0.499755859375 0.499755859375))
    (local.set $magic (v128.const f32x4 12582912 12582912 12582912 12582912))
    (local.set $bits (v128.const i32x4 0x4b400000 0x4b400000 0x4b400000 0x4b400000))
    (local.set $fast (i32.and (i32.ne (local.get $singles) (i32.const 0))
      (i32.and (i32.eq (local.get $period) (i32.const 4)) (i32.lt_u (local.get $kind) (i32.const 2)))))
    (if (local.get $fast) (then
      (local.set $inverse4 (v128.load (local.get $singles)))
      (local.set $zero4 (v128.load offset=32 (local.get $singles)))))
    (local.set $lows (f64x2.splat (local.get $low)))
    (local.set $highs (f64x2.splat (local.get $high)))
    (local.set $lows4 (f32x4.splat (f32.demote_f64 (local.get $low))))
    (local.set $highs4 (f32x4.splat (f32.demote_f64 (local.get $high))))
    ;; Bytes of four: 4, 4, 8, 8 and 16.
    (local.set $size (i32.shl (i32.const 4) (i32.shr_u (local.get $kind) (i32.const 1))))
    (local.set $row (i32.add (i32.shl (local.get $period) (i32.const 2)) (i32.const 16)))
    (local.set $end (i32.add (local.get $at) (i32.shl (local.get $count) (i32.const 2))))
    (block $done (loop $four
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (if (i32.and (local.get $fast)
        (i32.le_u (i32.add (local.get $at) (i32.const 64)) (local.get $end))) (then
        (if (local.get $slow)
          (then (local.set $slow (i32.sub (local.get $slow) (i32.const 1))))
          (else
            (local.set $x (f32x4.mul (v128.load (local.get $at)) (local.get $inverse4)))
            (local.set $x2 (f32x4.mul (v128.load offset=16 (local.get $at)) (local.get $inverse4)))
            (local.set $x3 (f32x4.mul (v128.load offset=32 (local.get $at)) (local.get $inverse4)))
            (local.set $x4 (f32x4.mul (v128.load offset=48 (local.get $at)) (local.get $inverse4)))
            (local.set $a (f32x4.nearest (local.get $x)))
            (local.set $a2 (f32x4.nearest (local.get $x2)))
            (local.set $a3 (f32x4.nearest (local.get $x3)))
            (local.set $a4 (f32x4.nearest (local.get $x4)))
            (if (i32x4.all_true (v128.and
              (v128.and
                (f32x4.lt (f32x4.abs (f32x4.sub (local.get $x) (local.get $a))) (local.get $far))
                (f32x4.lt (f32x4.abs (f32x4.sub (local.get $x2) (local.get $a2))) (local.get $far)))
              (v128.and
                (f32x4.lt (f32x4.abs (f32x4.sub (local.get $x3) (local.get $a3))) (local.get $far))
                (f32x4.lt (f32x4.abs (f32x4.sub (local.get $x4) (local.get $a4))) (local.get $far))))) (then
              (local.set $a (i16x8.narrow_i32x4_s
                (i32x4.sub (f32x4.add (f32x4.pmin (local.get $highs4) (f32x4.pmax (local.get $lows4)
                  (f32x4.add (local.get $a) (local.get $zero4)))) (local.get $magic)) (local.get $bits))
                (i32x4.sub (f32x4.add (f32x4.pmin (local.get $highs4) (f32x4.pmax (local.get $lows4)
                  (f32x4.add (local.get $a2) (local.get $zero4)))) (local.get $magic)) (local.get $bits))))
              (local.set $a3 (i16x8.narrow_i32x4_s
                (i32x4.sub (f32x4.add (f32x4.pmin (local.get $highs4) (f32x4.pmax (local.get $lows4)
                  (f32x4.add (local.get $a3) (local.get $zero4)))) (local.get $magic)) (local.get $bits))
                (i32x4.sub (f32x4.add (f32x4.pmin (local.get $highs4) (f32x4.pmax (local.get $lows4)
                  (f32x4.add (local.get $a4) (local.get $zero4)))) (local.get $magic)) (local.get $bits))))
              (v128.store (local.get $to) (if (result v128) (local.get $kind)
                (then (i8x16.narrow_i16x8_u (local.get $a) (local.get $a3)))
                (else (i8x16.narrow_i16x8_s (local.get $a) (local.get $a3)))))
              (local.set $at (i32.add (local.get $at) (i32.const 64)))
              (local.set $to (i32.add (local.get $to) (i32.const 16)))
              (br $four)))
            ;; These sixteen go by four.
            (local.set $slow (i32.const 3))))))
      (block $stored
      (block $coded
      (if (local.get $singles) (then
        (local.set $single (i32.add (local.get $singles) (i32.shl (local.get $phase) (i32.const 2))))
        (local.set $x (f32x4.mul (v128.load (local.get $at)) (v128.load (local.get $single))))
        (local.set $a (f32x4.nearest (local.get $x)))
        ;; 0.5 - 2^-12. NaN, of 0 times an infinite 1 / scale, is not less.
        (if (i32.eq (i32.const 15) (i32x4.bitmask (f32x4.lt (f32x4.abs (f32x4.sub (local.get $x) (local.get $a)))
          (local.get $far)))) (then
          (local.set $single (i32.add (local.get $single) (local.get $row)))
          (local.set $a (f32x4.pmin (local.get $highs4) (f32x4.pmax (local.get $lows4)
            (f32x4.add (local.get $a) (v128.load (local.get $single))))))
          (if (i32.eq (local.get $kind) (i32.const 4)) (then
            (v128.store (local.get $to) (f32x4.mul
              (f32x4.sub (local.get $a) (v128.load (local.get $single)))
              (v128.load (i32.add (local.get $single) (local.get $row)))))
            (br $stored)))
          ;; A float of 1.5 2^23 more has the whole number in its lowest bits.
          (local.set $a (i32x4.sub
            (f32x4.add (local.get $a) (local.get $magic)) (local.get $bits)))
          (br $coded)))))
      (local.set $offset (i32.shl (local.get $phase) (i32.const 3)))
      (local.set $scaleA (v128.load (i32.add (local.get $scales) (local.get $offset))))
      (local.set $scaleB (v128.load offset=16 (i32.add (local.get $scales) (local.get $offset))))
      (local.set $zeroA (v128.load (i32.add (local.get $zeros) (local.get $offset))))
      (local.set $zeroB (v128.load offset=16 (i32.add (local.get $zeros) (local.get $offset))))
      (local.set $v (v128.load (local.get $at)))
      (local.set $a (f64x2.promote_low_f32x4 (local.get $v)))
      (local.set $b (f64x2.promote_low_f32x4
        (i8x16.shuffle 8 9 10 11 12 13 14 15 8 9 10 11 12 13 14 15 (local.get $v) (local.get $v))))
      (local.set $a (f64x2.pmin (local.get $highs) (f64x2.pmax (local.get $lows)
        (f64x2.add (f64x2.nearest (f64x2.div (local.get $a) (local.get $scaleA))) (local.get $zeroA)))))
      (local.set $b (f64x2.pmin (local.get $highs) (f64x2.pmax (local.get $lows)
        (f64x2.add (f64x2.nearest (f64x2.div (local.get $b) (local.get $scaleB))) (local.get $zeroB)))))
      (if (i32.eq (local.get $kind) (i32.const 4)) (then
        (v128.store (local.get $to) (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
          (f32x4.demote_f64x2_zero (f64x2.mul (f64x2.sub (local.get $a) (local.get $zeroA)) (local.get $scaleA)))
          (f32x4.demote_f64x2_zero (f64x2.mul (f64x2.sub (local.get $b) (local.get $zeroB)) (local.get $scaleB)))))
        (br $stored)))
      (local.set $a (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
        (i32x4.trunc_sat_f64x2_s_zero (local.get $a)) (i32x4.trunc_sat_f64x2_s_zero (local.get $b)))))
      ;; $coded: four codes in $a.
      (if (i32.eq (local.get $kind) (i32.const 3))
        (then (local.set $a (i16x8.narrow_i32x4_u (local.get $a) (local.get $a))))
        (else (local.set $a (i16x8.narrow_i32x4_s (local.get $a) (local.get $a)))))
      (if (i32.ge_u (local.get $kind) (i32.const 2))
        (then (v128.store64_lane 0 (local.get $to) (local.get $a)))
        (else
          (if (local.get $kind)
            (then (local.set $a (i8x16.narrow_i16x8_u (local.get $a) (local.get $a))))
            (else (local.set $a (i8x16.narrow_i16x8_s (local.get $a) (local.get $a)))))
          (v128.store32_lane 0 (local.get $to) (local.get $a)))))
      ;; $stored.
      (local.set $to (i32.add (local.get $to) (local.get $size)))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (local.set $phase (i32.add (local.get $phase) (i32.const 4)))
      (if (i32.ge_u (local.get $phase) (local.get $period))
        (then (local.set $phase (i32.sub (local.get $phase) (local.get $period)))))
      (br $four))))

  ;; 1 for each value from its least to its most, 0 for others, as floats; limits come by turns as scales do, in single precision.
  ;; Returns 1 where all values are such.
  (func (export "within") (param $at i32) (param $count i32) (param $to i32) (param $least i32) (param $most i32)
    (param $period i32) (param $phase i32) (result i32)
    (local $end i32) (local $v v128) (local $all v128) (local $offset i32)
    (local.set $all (v128.const i32x4 -1 -1 -1 -1))
    (local.set $end (i32.add (local.get $at) (i32.shl (local.get $count) (i32.const 2))))
    (block $done (loop $four
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (local.set $offset (i32.shl (local.get $phase) (i32.const 2)))
      (local.set $v (v128.load (local.get $at)))
      (local.set $v (v128.and
        (f32x4.ge (local.get $v) (v128.load (i32.add (local.get $least) (local.get $offset))))
        (f32x4.le (local.get $v) (v128.load (i32.add (local.get $most) (local.get $offset))))))
      (local.set $all (v128.and (local.get $all) (local.get $v)))
      (v128.store (local.get $to) (v128.and (local.get $v) (v128.const f32x4 1 1 1 1)))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (local.set $phase (i32.add (local.get $phase) (i32.const 4)))
      (if (i32.ge_u (local.get $phase) (local.get $period))
        (then (local.set $phase (i32.sub (local.get $phase) (local.get $period)))))
      (br $four)))
    (i32x4.all_true (local.get $all)))

  ;; Four smallest and four largest values, and four sums that are 0 where all values are finite, at $to. What is there already
  ;; goes into them. $count is a multiple of 8: chains of two do not wait for each other.
  (func (export "extent") (param $at i32) (param $count i32) (param $to i32)
    (local $end i32) (local $v v128) (local $w v128)
    (local $least v128) (local $most v128) (local $sum v128) (local $least2 v128) (local $most2 v128) (local $sum2 v128)
    (local.set $least (v128.load (local.get $to)))
    (local.set $most (v128.load offset=16 (local.get $to)))
    (local.set $sum (v128.load offset=32 (local.get $to)))
    (local.set $end (i32.add (local.get $at) (i32.shl (local.get $count) (i32.const 2))))
    (block $done (loop $eight
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (local.set $v (v128.load (local.get $at)))
      (local.set $w (v128.load offset=16 (local.get $at)))
      (local.set $least (f32x4.pmin (local.get $least) (local.get $v)))
      (local.set $least2 (f32x4.pmin (local.get $least2) (local.get $w)))
      (local.set $most (f32x4.pmax (local.get $most) (local.get $v)))
      (local.set $most2 (f32x4.pmax (local.get $most2) (local.get $w)))
      (local.set $sum (f32x4.add (local.get $sum) (f32x4.sub (local.get $v) (local.get $v))))
      (local.set $sum2 (f32x4.add (local.get $sum2) (f32x4.sub (local.get $w) (local.get $w))))
      (local.set $at (i32.add (local.get $at) (i32.const 32)))
      (br $eight)))
    (v128.store (local.get $to) (f32x4.pmin (local.get $least) (local.get $least2)))
    (v128.store offset=16 (local.get $to) (f32x4.pmax (local.get $most) (local.get $most2)))
    (v128.store offset=32 (local.get $to) (f32x4.add (local.get $sum) (local.get $sum2)))))
