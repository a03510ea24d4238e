;; One pass over a chunk of 32-bit floats, four at a time: masks what stands above a bracket, collects what lies
;; within it. The chunk lies at 0, the mask goes to 65536 (a byte a float), positions within the bracket to 81920.
(module
  (memory (export "memory") 3)

  ;; How many stood above, and the largest |value| met as bits: NaN and Infinity are the largest of all.
  (global $above (export "above") (mut i32) (i32.const 0))
  (global $largest (export "largest") (mut i32) (i32.const 0))

  ;; Returns how many lie in [lo, hi]. `count` is a multiple of 4; `and` are the bits that count.
  (func (export "split") (param $count i32) (param $and i32) (param $lo i32) (param $hi i32) (result i32)
    (local $i i32) (local $hits i32) (local $to i32)
    (local $bits v128) (local $key v128) (local $up v128) (local $ups v128) (local $max v128) (local $flip v128)
    (local.set $to (i32.const 81920))
    (local.set $flip (i32x4.splat (i32.const 0x7fffffff)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
        (local.set $bits (v128.load (i32.shl (local.get $i) (i32.const 2))))
        (local.set $max (i32x4.max_s (local.get $max) (v128.and (local.get $bits) (local.get $flip))))

        ;; The signed integer that sorts as the float does; -0 becomes 0 as +0 is. See keyOf in rank.ts.
        (local.set $key (v128.and (local.get $bits) (i32x4.splat (local.get $and))))
        (local.set $key (v128.xor (local.get $key)
          (v128.and (i32x4.shr_s (local.get $key) (i32.const 31)) (local.get $flip))))
        (local.set $key (i32x4.sub (local.get $key)
          (i32x4.eq (local.get $key) (i32x4.splat (i32.const -1)))))

        ;; A comparison gives 0 or -1 a lane: subtracting counts, narrowing twice makes bytes of them.
        (local.set $up (i32x4.gt_s (local.get $key) (i32x4.splat (local.get $hi))))
        (local.set $ups (i32x4.sub (local.get $ups) (local.get $up)))
        (local.set $bits (i16x8.narrow_i32x4_s (local.get $up) (local.get $up)))
        (v128.store32_lane offset=65536 0 (local.get $i)
          (v128.and (i8x16.narrow_i16x8_s (local.get $bits) (local.get $bits)) (i8x16.splat (i32.const 1))))

        ;; Few lie within, so most rounds skip this.
        (local.set $hits (i32x4.bitmask (v128.andnot
          (i32x4.ge_s (local.get $key) (i32x4.splat (local.get $lo))) (local.get $up))))
        (block $collected
          (loop $collect
            (br_if $collected (i32.eqz (local.get $hits)))
            (i32.store (local.get $to) (i32.add (local.get $i) (i32.ctz (local.get $hits))))
            (local.set $to (i32.add (local.get $to) (i32.const 4)))
            (local.set $hits (i32.and (local.get $hits) (i32.sub (local.get $hits) (i32.const 1))))
            (br $collect)))

        (local.set $i (i32.add (local.get $i) (i32.const 4)))
        (br $next)))

    (global.set $above (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $ups)) (i32x4.extract_lane 1 (local.get $ups)))
      (i32.add (i32x4.extract_lane 2 (local.get $ups)) (i32x4.extract_lane 3 (local.get $ups)))))
    ;; The maximum over the lanes, by folding halves.
    (local.set $max (i32x4.max_s (local.get $max)
      (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $max) (local.get $max))))
    (local.set $max (i32x4.max_s (local.get $max)
      (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11 (local.get $max) (local.get $max))))
    (global.set $largest (i32x4.extract_lane 0 (local.get $max)))
    (i32.shr_u (i32.sub (local.get $to) (i32.const 81920)) (i32.const 2)))
)
