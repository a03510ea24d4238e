;; §3.2.1 The squared error of values on a grid of levels: the inner loop of the search for the best range.
(module
  (memory (export "memory") 1)

  ;; Σ (v − clamp(round(v · inverse), bottom, top) · scale)² over `count` floats at `at`, a multiple of 4.
  ;; Four lanes of single precision; every 1,024 values they are added up in double precision.
  (func (export "error")
    (param $at i32) (param $count i32)
    (param $inverse f32) (param $bottom f32) (param $top f32) (param $scale f32) (result f64)
    (local $total f64) (local $end i32) (local $stop i32) (local $v v128) (local $sum v128)
    (local $inverses v128) (local $bottoms v128) (local $tops v128) (local $scales v128)
    (local.set $inverses (f32x4.splat (local.get $inverse)))
    (local.set $bottoms (f32x4.splat (local.get $bottom)))
    (local.set $tops (f32x4.splat (local.get $top)))
    (local.set $scales (f32x4.splat (local.get $scale)))
    (local.set $end (i32.add (local.get $at) (i32.shl (local.get $count) (i32.const 2))))
    (block $done (loop $blocks
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (local.set $stop (i32.add (local.get $at) (i32.const 4096)))
      (if (i32.gt_u (local.get $stop) (local.get $end)) (then (local.set $stop (local.get $end))))
      (local.set $sum (v128.const i32x4 0 0 0 0))
      (loop $values
        (local.set $v (v128.load (local.get $at)))
        (local.set $v (f32x4.sub (local.get $v) (f32x4.mul (local.get $scales)
          (f32x4.pmin (local.get $tops) (f32x4.pmax (local.get $bottoms)
            (f32x4.nearest (f32x4.mul (local.get $v) (local.get $inverses))))))))
        (local.set $sum (f32x4.add (local.get $sum) (f32x4.mul (local.get $v) (local.get $v))))
        (br_if $values (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $stop))))
      (local.set $total (f64.add (local.get $total) (f64.add
        (f64.add (f64.promote_f32 (f32x4.extract_lane 0 (local.get $sum)))
                 (f64.promote_f32 (f32x4.extract_lane 1 (local.get $sum))))
        (f64.add (f64.promote_f32 (f32x4.extract_lane 2 (local.get $sum)))
                 (f64.promote_f32 (f32x4.extract_lane 3 (local.get $sum)))))))
      (br $blocks)))
    (local.get $total)))
