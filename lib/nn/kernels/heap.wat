;; The inner loops of the training kernels, on TensorFlow.js's own heap, four numbers at a time.
;; Addresses and steps are in bytes, counts in floats; all data is f32.
(module
  (import "heap" "memory" (memory 0))

  ;; target[i] += source[i]
  (func (export "add") (param $target i32) (param $source i32) (param $count i32)
    (local $last i32) (local $end i32)
    (local.set $end (i32.add (local.get $source) (i32.shl (local.get $count) (i32.const 2))))
    (local.set $last (i32.sub (local.get $end) (i32.const 16)))
    (block $few
      (loop $four
        (br_if $few (i32.gt_u (local.get $source) (local.get $last)))
        (v128.store (local.get $target)
          (f32x4.add (v128.load (local.get $target)) (v128.load (local.get $source))))
        (local.set $source (i32.add (local.get $source) (i32.const 16)))
        (local.set $target (i32.add (local.get $target) (i32.const 16)))
        (br $four)))
    (block $done
      (loop $one
        (br_if $done (i32.ge_u (local.get $source) (local.get $end)))
        (f32.store (local.get $target)
          (f32.add (f32.load (local.get $target)) (f32.load (local.get $source))))
        (local.set $source (i32.add (local.get $source) (i32.const 4)))
        (local.set $target (i32.add (local.get $target) (i32.const 4)))
        (br $one))))

  ;; target = source^T for a row-major rows x columns matrix: 4 x 4 blocks are turned in registers, so that both
  ;; sides are read and written in runs; what is left at the edges goes one by one.
  (func (export "transpose") (param $source i32) (param $target i32) (param $rows i32) (param $columns i32)
    (local $row i32) (local $column i32) (local $in i32) (local $out i32) (local $p i32) (local $q i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local $ab v128) (local $cd v128)
    (local.set $in (i32.shl (local.get $columns) (i32.const 2)))
    (local.set $out (i32.shl (local.get $rows) (i32.const 2)))
    (block $blocks
      (loop $down
        (br_if $blocks (i32.gt_s (i32.add (local.get $row) (i32.const 4)) (local.get $rows)))
        (local.set $p (i32.add (local.get $source) (i32.mul (local.get $row) (local.get $in))))
        (local.set $q (i32.add (local.get $target) (i32.shl (local.get $row) (i32.const 2))))
        (local.set $column (i32.const 0))
        (block $edge
          (loop $across
            (br_if $edge (i32.gt_s (i32.add (local.get $column) (i32.const 4)) (local.get $columns)))
            (local.set $a (v128.load (local.get $p)))
            (local.set $b (v128.load (i32.add (local.get $p) (local.get $in))))
            (local.set $c (v128.load (i32.add (local.get $p) (i32.shl (local.get $in) (i32.const 1)))))
            (local.set $d (v128.load (i32.add (local.get $p) (i32.mul (local.get $in) (i32.const 3)))))
            (local.set $ab (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $a) (local.get $b)))
            (local.set $cd (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $c) (local.get $d)))
            (v128.store (local.get $q)
              (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $ab) (local.get $cd)))
            (local.set $q (i32.add (local.get $q) (local.get $out)))
            (v128.store (local.get $q)
              (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $ab) (local.get $cd)))
            (local.set $q (i32.add (local.get $q) (local.get $out)))
            (local.set $ab (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $a) (local.get $b)))
            (local.set $cd (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $c) (local.get $d)))
            (v128.store (local.get $q)
              (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $ab) (local.get $cd)))
            (local.set $q (i32.add (local.get $q) (local.get $out)))
            (v128.store (local.get $q)
              (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $ab) (local.get $cd)))
            (local.set $q (i32.add (local.get $q) (local.get $out)))
            (local.set $p (i32.add (local.get $p) (i32.const 16)))
            (local.set $column (i32.add (local.get $column) (i32.const 4)))
            (br $across)))
        (call $turn (local.get $source) (local.get $target) (local.get $in) (local.get $out)
          (local.get $row) (i32.add (local.get $row) (i32.const 4)) (local.get $column) (local.get $columns))
        (local.set $row (i32.add (local.get $row) (i32.const 4)))
        (br $down)))
    (call $turn (local.get $source) (local.get $target) (local.get $in) (local.get $out)
      (local.get $row) (local.get $rows) (i32.const 0) (local.get $columns)))

  ;; The same for rows $top to $bottom and columns $left to $right, one by one.
  (func $turn (param $source i32) (param $target i32) (param $in i32) (param $out i32)
    (param $top i32) (param $bottom i32) (param $left i32) (param $right i32)
    (local $column i32)
    (block $done
      (loop $down
        (br_if $done (i32.ge_s (local.get $top) (local.get $bottom)))
        (local.set $column (local.get $left))
        (block $end
          (loop $across
            (br_if $end (i32.ge_s (local.get $column) (local.get $right)))
            (f32.store
              (i32.add (i32.add (local.get $target) (i32.mul (local.get $column) (local.get $out)))
                (i32.shl (local.get $top) (i32.const 2)))
              (f32.load (i32.add (i32.add (local.get $source) (i32.mul (local.get $top) (local.get $in)))
                (i32.shl (local.get $column) (i32.const 2)))))
            (local.set $column (i32.add (local.get $column) (i32.const 1)))
            (br $across)))
        (local.set $top (i32.add (local.get $top) (i32.const 1)))
        (br $down))))

  ;; One step of Adam: out = w - rate m'/(sqrt(v') + epsilon), where m' and v' are the moments over what they still lack.
  ;; Every operation is rounded by itself and in TensorFlow.js's order, so the result is its own, bit for bit.
  (func (export "adam") (param $w i32) (param $g i32) (param $m i32) (param $v i32) (param $out i32)
    (param $count i32) (param $beta1 f32) (param $rest1 f32) (param $beta2 f32) (param $rest2 f32)
    (param $left1 f32) (param $left2 f32) (param $epsilon f32) (param $rate f32)
    (local $last i32) (local $end i32) (local $gs v128) (local $ms v128) (local $vs v128)
    (local $g1 f32) (local $m1 f32) (local $v1 f32)
    (local.set $end (i32.add (local.get $w) (i32.shl (local.get $count) (i32.const 2))))
    (local.set $last (i32.sub (local.get $end) (i32.const 16)))
    (block $few
      (loop $four
        (br_if $few (i32.gt_u (local.get $w) (local.get $last)))
        (local.set $gs (v128.load (local.get $g)))
        (local.set $ms (f32x4.add
          (f32x4.mul (v128.load (local.get $m)) (f32x4.splat (local.get $beta1)))
          (f32x4.mul (local.get $gs) (f32x4.splat (local.get $rest1)))))
        (local.set $vs (f32x4.add
          (f32x4.mul (v128.load (local.get $v)) (f32x4.splat (local.get $beta2)))
          (f32x4.mul (f32x4.mul (local.get $gs) (local.get $gs)) (f32x4.splat (local.get $rest2)))))
        (v128.store (local.get $m) (local.get $ms))
        (v128.store (local.get $v) (local.get $vs))
        (v128.store (local.get $out) (f32x4.add
          (f32x4.mul
            (f32x4.div
              (f32x4.div (local.get $ms) (f32x4.splat (local.get $left1)))
              (f32x4.add
                (f32x4.sqrt (f32x4.div (local.get $vs) (f32x4.splat (local.get $left2))))
                (f32x4.splat (local.get $epsilon))))
            (f32x4.splat (local.get $rate)))
          (v128.load (local.get $w))))
        (local.set $w (i32.add (local.get $w) (i32.const 16)))
        (local.set $g (i32.add (local.get $g) (i32.const 16)))
        (local.set $m (i32.add (local.get $m) (i32.const 16)))
        (local.set $v (i32.add (local.get $v) (i32.const 16)))
        (local.set $out (i32.add (local.get $out) (i32.const 16)))
        (br $four)))
    (block $done
      (loop $one
        (br_if $done (i32.ge_u (local.get $w) (local.get $end)))
        (local.set $g1 (f32.load (local.get $g)))
        (local.set $m1 (f32.add
          (f32.mul (f32.load (local.get $m)) (local.get $beta1)) (f32.mul (local.get $g1) (local.get $rest1))))
        (local.set $v1 (f32.add
          (f32.mul (f32.load (local.get $v)) (local.get $beta2))
          (f32.mul (f32.mul (local.get $g1) (local.get $g1)) (local.get $rest2))))
        (f32.store (local.get $m) (local.get $m1))
        (f32.store (local.get $v) (local.get $v1))
        (f32.store (local.get $out) (f32.add
          (f32.mul
            (f32.div
              (f32.div (local.get $m1) (local.get $left1))
              (f32.add (f32.sqrt (f32.div (local.get $v1) (local.get $left2))) (local.get $epsilon)))
            (local.get $rate))
          (f32.load (local.get $w))))
        (local.set $w (i32.add (local.get $w) (i32.const 4)))
        (local.set $g (i32.add (local.get $g) (i32.const 4)))
        (local.set $m (i32.add (local.get $m) (i32.const 4)))
        (local.set $v (i32.add (local.get $v) (i32.const 4)))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (br $one))))

  ;; One window of max pooling, for all channels: adds each channel's gradient to the first of its largest inputs.
  ;; The window has $height rows of $width inputs, $across bytes apart, and $down bytes from a row's end to the next.
  (func (export "maxPoolGrad") (param $x i32) (param $dx i32) (param $dy i32)
    (param $height i32) (param $width i32) (param $across i32) (param $down i32) (param $channels i32)
    (local $lanes i32)
    (block $done
      (loop $next
        (br_if $done (i32.le_s (local.get $channels) (i32.const 0)))
        (if (i32.ge_s (local.get $channels) (i32.const 4))
          (then
            (local.set $lanes (i32.const 4))
            (call $window (local.get $x) (local.get $dx) (v128.load (local.get $dy)) (local.get $height)
              (local.get $width) (local.get $across) (local.get $down)))
          (else
            (local.set $lanes (i32.const 1))
            (call $lane (local.get $x) (local.get $dx) (f32.load (local.get $dy)) (local.get $height)
              (local.get $width) (local.get $across) (local.get $down))))
        (local.set $channels (i32.sub (local.get $channels) (local.get $lanes)))
        (local.set $lanes (i32.shl (local.get $lanes) (i32.const 2)))
        (local.set $x (i32.add (local.get $x) (local.get $lanes)))
        (local.set $dx (i32.add (local.get $dx) (local.get $lanes)))
        (local.set $dy (i32.add (local.get $dy) (local.get $lanes)))
        (br $next))))

  (func $window (param $x i32) (param $dx i32) (param $gradient v128)
    (param $height i32) (param $width i32) (param $across i32) (param $down i32)
    (local $best v128) (local $place v128) (local $value v128) (local $larger v128)
    (local $row i32) (local $column i32) (local $k i32)
    (local.set $best (f32x4.splat (f32.const -inf)))
    (local.set $place (i32x4.splat (i32.const -1)))
    (local.set $row (local.get $height))
    (loop $rows
      (local.set $column (local.get $width))
      (loop $columns
        (local.set $value (v128.load (local.get $x)))
        ;; Greater, not greater or equal: the first of equals stays, and NaN is never chosen.
        (local.set $larger (f32x4.gt (local.get $value) (local.get $best)))
        (local.set $best (v128.bitselect (local.get $value) (local.get $best) (local.get $larger)))
        (local.set $place (v128.bitselect (i32x4.splat (local.get $k)) (local.get $place) (local.get $larger)))
        (local.set $k (i32.add (local.get $k) (i32.const 1)))
        (local.set $x (i32.add (local.get $x) (local.get $across)))
        (br_if $columns (local.tee $column (i32.sub (local.get $column) (i32.const 1)))))
      (local.set $x (i32.add (local.get $x) (local.get $down)))
      (br_if $rows (local.tee $row (i32.sub (local.get $row) (i32.const 1)))))
    (local.set $k (i32.const 0))
    (local.set $row (local.get $height))
    (loop $rows
      (local.set $column (local.get $width))
      (loop $columns
        (v128.store (local.get $dx) (f32x4.add (v128.load (local.get $dx))
          (v128.and (local.get $gradient) (i32x4.eq (local.get $place) (i32x4.splat (local.get $k))))))
        (local.set $k (i32.add (local.get $k) (i32.const 1)))
        (local.set $dx (i32.add (local.get $dx) (local.get $across)))
        (br_if $columns (local.tee $column (i32.sub (local.get $column) (i32.const 1)))))
      (local.set $dx (i32.add (local.get $dx) (local.get $down)))
      (br_if $rows (local.tee $row (i32.sub (local.get $row) (i32.const 1))))))

  (func $lane (param $x i32) (param $dx i32) (param $gradient f32)
    (param $height i32) (param $width i32) (param $across i32) (param $down i32)
    (local $best f32) (local $value f32) (local $place i32) (local $row i32) (local $column i32) (local $p i32)
    (local.set $best (f32.const -inf))
    (local.set $row (local.get $height))
    (local.set $p (local.get $x))
    (loop $rows
      (local.set $column (local.get $width))
      (loop $columns
        (local.set $value (f32.load (local.get $p)))
        (if (f32.gt (local.get $value) (local.get $best))
          (then
            (local.set $best (local.get $value))
            (local.set $place (local.get $p))))
        (local.set $p (i32.add (local.get $p) (local.get $across)))
        (br_if $columns (local.tee $column (i32.sub (local.get $column) (i32.const 1)))))
      (local.set $p (i32.add (local.get $p) (local.get $down)))
      (br_if $rows (local.tee $row (i32.sub (local.get $row) (i32.const 1)))))
    ;; A window of nothing but NaN has no largest input.
    (if (local.get $place)
      (then
        (local.set $place (i32.add (local.get $dx) (i32.sub (local.get $place) (local.get $x))))
        (f32.store (local.get $place)
          (f32.add (f32.load (local.get $place)) (local.get $gradient)))))))
