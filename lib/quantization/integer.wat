;; §3.2.2 Inference in integers: the inner loops.
;;
;; The memory is shared, so that several threads can work on one product; `$next` at address 0 deals out the columns.
(module
  (import "env" "memory" (memory 1 65536 shared))

  ;; C = A B with 32-bit accumulators, from panels of 16-bit numbers (8-bit codes less their zero points).
  ;; A: panels of 4 rows, B: panels of 8 columns; within a panel, for each pair of k's, the pair of each row or column.
  ;; i32x4.dot_i16x8_s multiplies eight 16-bit pairs and adds neighbours: 8 multiply-adds an instruction, where
  ;; single precision has 4 multiplications and 4 additions in two.
  ;; C: rows of `stride` bytes. `pairs` of k's are done in blocks of `$block`, so that a panel of B stays in the first
  ;; cache. Takes panels of columns from the counter until none are left.
  (func (export "matmul")
    (param $a i32) (param $b i32) (param $c i32)
    (param $panelsA i32) (param $panelsB i32) (param $pairs i32) (param $block i32) (param $stride i32)
    (local $column i32) (local $row i32) (local $from i32) (local $some i32) (local $p i32)
    (local $pa i32) (local $pb i32) (local $pc i32)
    (local $x v128) (local $b0 v128) (local $b1 v128)
    (local $c00 v128) (local $c01 v128) (local $c10 v128) (local $c11 v128)
    (local $c20 v128) (local $c21 v128) (local $c30 v128) (local $c31 v128)
    (block $done
    (loop $columns
      (local.set $column (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
      (br_if $done (i32.ge_u (local.get $column) (local.get $panelsB)))
      (local.set $from (i32.const 0))
      (loop $blocks
        (local.set $some (i32.sub (local.get $pairs) (local.get $from)))
        (if (i32.gt_u (local.get $some) (local.get $block)) (then (local.set $some (local.get $block))))
        (local.set $row (i32.const 0))
        (loop $rows
          ;; a panel of A holds 16 bytes for each pair, a panel of B 32
          (local.set $pa (i32.add (local.get $a) (i32.shl
            (i32.add (i32.mul (local.get $row) (local.get $pairs)) (local.get $from)) (i32.const 4))))
          (local.set $pb (i32.add (local.get $b) (i32.shl
            (i32.add (i32.mul (local.get $column) (local.get $pairs)) (local.get $from)) (i32.const 5))))
          (local.set $c00 (v128.const i32x4 0 0 0 0)) (local.set $c01 (v128.const i32x4 0 0 0 0))
          (local.set $c10 (v128.const i32x4 0 0 0 0)) (local.set $c11 (v128.const i32x4 0 0 0 0))
          (local.set $c20 (v128.const i32x4 0 0 0 0)) (local.set $c21 (v128.const i32x4 0 0 0 0))
          (local.set $c30 (v128.const i32x4 0 0 0 0)) (local.set $c31 (v128.const i32x4 0 0 0 0))
          (local.set $p (local.get $some))
          (loop $inner
            (local.set $b0 (v128.load (local.get $pb)))
            (local.set $b1 (v128.load offset=16 (local.get $pb)))
            (local.set $x (v128.load32_splat (local.get $pa)))
            (local.set $c00 (i32x4.add (local.get $c00) (i32x4.dot_i16x8_s (local.get $x) (local.get $b0))))
            (local.set $c01 (i32x4.add (local.get $c01) (i32x4.dot_i16x8_s (local.get $x) (local.get $b1))))
            (local.set $x (v128.load32_splat offset=4 (local.get $pa)))
            (local.set $c10 (i32x4.add (local.get $c10) (i32x4.dot_i16x8_s (local.get $x) (local.get $b0))))
            (local.set $c11 (i32x4.add (local.get $c11) (i32x4.dot_i16x8_s (local.get $x) (local.get $b1))))
            (local.set $x (v128.load32_splat offset=8 (local.get $pa)))
            (local.set $c20 (i32x4.add (local.get $c20) (i32x4.dot_i16x8_s (local.get $x) (local.get $b0))))
            (local.set $c21 (i32x4.add (local.get $c21) (i32x4.dot_i16x8_s (local.get $x) (local.get $b1))))
            (local.set $x (v128.load32_splat offset=12 (local.get $pa)))
            (local.set $c30 (i32x4.add (local.get $c30) (i32x4.dot_i16x8_s (local.get $x) (local.get $b0))))
            (local.set $c31 (i32x4.add (local.get $c31) (i32x4.dot_i16x8_s (local.get $x) (local.get $b1))))
            (local.set $pa (i32.add (local.get $pa) (i32.const 16)))
            (local.set $pb (i32.add (local.get $pb) (i32.const 32)))
            (br_if $inner (local.tee $p (i32.sub (local.get $p) (i32.const 1)))))
          (local.set $pc (i32.add (local.get $c) (i32.add
            (i32.mul (i32.shl (local.get $row) (i32.const 2)) (local.get $stride))
            (i32.shl (local.get $column) (i32.const 5)))))
          ;; later blocks add to what the earlier ones left
          (if (local.get $from) (then
            (local.set $p (local.get $pc))
            (local.set $c00 (i32x4.add (local.get $c00) (v128.load (local.get $p))))
            (local.set $c01 (i32x4.add (local.get $c01) (v128.load offset=16 (local.get $p))))
            (local.set $p (i32.add (local.get $p) (local.get $stride)))
            (local.set $c10 (i32x4.add (local.get $c10) (v128.load (local.get $p))))
            (local.set $c11 (i32x4.add (local.get $c11) (v128.load offset=16 (local.get $p))))
            (local.set $p (i32.add (local.get $p) (local.get $stride)))
            (local.set $c20 (i32x4.add (local.get $c20) (v128.load (local.get $p))))
            (local.set $c21 (i32x4.add (local.get $c21) (v128.load offset=16 (local.get $p))))
            (local.set $p (i32.add (local.get $p) (local.get $stride)))
            (local.set $c30 (i32x4.add (local.get $c30) (v128.load (local.get $p))))
            (local.set $c31 (i32x4.add (local.get $c31) (v128.load offset=16 (local.get $p))))))
          (v128.store (local.get $pc) (local.get $c00))
          (v128.store offset=16 (local.get $pc) (local.get $c01))
          (local.set $pc (i32.add (local.get $pc) (local.get $stride)))
          (v128.store (local.get $pc) (local.get $c10))
          (v128.store offset=16 (local.get $pc) (local.get $c11))
          (local.set $pc (i32.add (local.get $pc) (local.get $stride)))
          (v128.store (local.get $pc) (local.get $c20))
          (v128.store offset=16 (local.get $pc) (local.get $c21))
          (local.set $pc (i32.add (local.get $pc) (local.get $stride)))
          (v128.store (local.get $pc) (local.get $c30))
          (v128.store offset=16 (local.get $pc) (local.get $c31))
          (br_if $rows (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $panelsA))))
        (br_if $blocks (i32.lt_u (local.tee $from (i32.add (local.get $from) (local.get $block))) (local.get $pairs))))
      (br $columns))))

  ;; The left factor of a product: panels of 4 rows, each pair of k's beside those of the other rows, as `matmul` wants them.
  ;; Here go `$n` neighbouring codes of one row, as 16-bit numbers less the code of 0, to places `$k` and on. Signed codes come
  ;; with `$flip` 128, which makes them unsigned ones of a zero 128 higher.
  (func $put
    (param $base i32) (param $k i32) (param $from i32) (param $n i32) (param $flip i32) (param $zero i32)
    (local $at i32) (local $end i32) (local $x v128) (local $flips v128) (local $zeros v128)
    (if (i32.eqz (local.get $n)) (then (return)))
    (local.set $end (i32.add (local.get $from) (local.get $n)))
    (local.set $at (call $place (local.get $base) (local.get $k)))
    (if (i32.and (local.get $k) (i32.const 1)) (then
      (i32.store16 (local.get $at)
        (i32.sub (i32.xor (i32.load8_u (local.get $from)) (local.get $flip)) (local.get $zero)))
      (local.set $at (i32.add (local.get $at) (i32.const 14)))
      (local.set $from (i32.add (local.get $from) (i32.const 1)))))
    (local.set $flips (i16x8.splat (local.get $flip)))
    (local.set $zeros (i16x8.splat (local.get $zero)))
    (block $few (loop $eight
      (br_if $few (i32.lt_s (i32.sub (local.get $end) (local.get $from)) (i32.const 8)))
      (local.set $x (i16x8.sub
        (v128.xor (v128.load8x8_u (local.get $from)) (local.get $flips)) (local.get $zeros)))
      (v128.store32_lane 0 (local.get $at) (local.get $x))
      (v128.store32_lane offset=16 1 (local.get $at) (local.get $x))
      (v128.store32_lane offset=32 2 (local.get $at) (local.get $x))
      (v128.store32_lane offset=48 3 (local.get $at) (local.get $x))
      (local.set $at (i32.add (local.get $at) (i32.const 64)))
      (local.set $from (i32.add (local.get $from) (i32.const 8)))
      (br $eight)))
    (block $last (loop $two
      (br_if $last (i32.lt_s (i32.sub (local.get $end) (local.get $from)) (i32.const 2)))
      (i32.store16 (local.get $at)
        (i32.sub (i32.xor (i32.load8_u (local.get $from)) (local.get $flip)) (local.get $zero)))
      (i32.store16 offset=2 (local.get $at)
        (i32.sub (i32.xor (i32.load8_u offset=1 (local.get $from)) (local.get $flip)) (local.get $zero)))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (local.set $from (i32.add (local.get $from) (i32.const 2)))
      (br $two)))
    (if (i32.lt_u (local.get $from) (local.get $end)) (then
      (i32.store16 (local.get $at)
        (i32.sub (i32.xor (i32.load8_u (local.get $from)) (local.get $flip)) (local.get $zero))))))

  ;; As many zeros.
  (func $clear (param $base i32) (param $k i32) (param $n i32)
    (block $done (loop $each
      (br_if $done (i32.le_s (local.get $n) (i32.const 0)))
      (i32.store16 (call $place (local.get $base) (local.get $k)) (i32.const 0))
      (local.set $k (i32.add (local.get $k) (i32.const 1)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $each))))

  (func $place (param $base i32) (param $k i32) (result i32)
    (i32.add (local.get $base) (i32.add
      (i32.shl (i32.shr_u (local.get $k) (i32.const 1)) (i32.const 4))
      (i32.shl (i32.and (local.get $k) (i32.const 1)) (i32.const 1)))))

  ;; Panels of the rows that a convolution multiplies: `$count` (a multiple of 4) of them from `$first` (another one) on, of
  ;; `$total`; those beyond are zeros. Row i is what the window sees at place i of [batch, outHeight, outWidth] in codes
  ;; [batch, height, width, channels]; what stands outside counts as 0.
  (func (export "patches")
    (param $codes i32) (param $flip i32) (param $zero i32) (param $out i32) (param $pairs i32)
    (param $first i32) (param $count i32) (param $total i32)
    (param $outHeight i32) (param $outWidth i32) (param $height i32) (param $width i32) (param $channels i32)
    (param $rows i32) (param $cols i32) (param $down i32) (param $right i32) (param $top i32) (param $left i32)
    (local $i i32) (local $end i32) (local $base i32) (local $t i32) (local $x i32) (local $y i32) (local $k i32)
    (local $ky i32) (local $run i32) (local $from i32) (local $to i32)
    (local.set $zero (i32.add (local.get $zero) (local.get $flip)))
    (local.set $run (i32.mul (local.get $cols) (local.get $channels)))
    (local.set $i (local.get $first))
    (local.set $end (i32.add (local.get $first) (local.get $count)))
    (loop $each
      (local.set $base (i32.add (local.get $out) (i32.add
        (i32.mul (i32.shr_u (i32.sub (local.get $i) (local.get $first)) (i32.const 2))
          (i32.shl (local.get $pairs) (i32.const 4)))
        (i32.shl (i32.and (local.get $i) (i32.const 3)) (i32.const 2)))))
      (if (i32.ge_u (local.get $i) (local.get $total))
        (then (call $clear (local.get $base) (i32.const 0) (i32.shl (local.get $pairs) (i32.const 1))))
        (else
          (local.set $t (i32.div_u (local.get $i) (local.get $outWidth)))
          (local.set $x (i32.sub
            (i32.mul (i32.sub (local.get $i) (i32.mul (local.get $t) (local.get $outWidth))) (local.get $right))
            (local.get $left)))
          ;; the window's columns that lie inside
          (local.set $from (i32.sub (i32.const 0) (local.get $x)))
          (if (i32.lt_s (local.get $from) (i32.const 0)) (then (local.set $from (i32.const 0))))
          (if (i32.gt_s (local.get $from) (local.get $cols)) (then (local.set $from (local.get $cols))))
          (local.set $to (i32.sub (local.get $width) (local.get $x)))
          (if (i32.gt_s (local.get $to) (local.get $cols)) (then (local.set $to (local.get $cols))))
          (if (i32.lt_s (local.get $to) (local.get $from)) (then (local.set $to (local.get $from))))
          (local.set $y (i32.sub
            (i32.mul (i32.rem_u (local.get $t) (local.get $outHeight)) (local.get $down)) (local.get $top)))
          ;; the address of the window's first row, were it all inside
          (local.set $t (i32.add (local.get $codes) (i32.mul (local.get $channels) (i32.add (local.get $x)
            (i32.mul (local.get $width) (i32.add (local.get $y)
              (i32.mul (local.get $height) (i32.div_u (local.get $t) (local.get $outHeight)))))))))
          (local.set $k (i32.const 0))
          (local.set $ky (local.get $rows))
          (loop $window
            (if (i32.lt_u (local.get $y) (local.get $height))
              (then
                (call $clear (local.get $base) (local.get $k) (i32.mul (local.get $from) (local.get $channels)))
                (call $put (local.get $base)
                  (i32.add (local.get $k) (i32.mul (local.get $from) (local.get $channels)))
                  (i32.add (local.get $t) (i32.mul (local.get $from) (local.get $channels)))
                  (i32.mul (i32.sub (local.get $to) (local.get $from)) (local.get $channels))
                  (local.get $flip) (local.get $zero))
                (call $clear (local.get $base)
                  (i32.add (local.get $k) (i32.mul (local.get $to) (local.get $channels)))
                  (i32.mul (i32.sub (local.get $cols) (local.get $to)) (local.get $channels))))
              (else (call $clear (local.get $base) (local.get $k) (local.get $run))))
            (local.set $k (i32.add (local.get $k) (local.get $run)))
            (local.set $y (i32.add (local.get $y) (i32.const 1)))
            (local.set $t (i32.add (local.get $t) (i32.mul (local.get $width) (local.get $channels))))
            (br_if $window (local.tee $ky (i32.sub (local.get $ky) (i32.const 1)))))
          (if (i32.and (local.get $k) (i32.const 1))
            (then (call $clear (local.get $base) (local.get $k) (i32.const 1))))))
      (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $end)))))

  ;; Accumulators to 8-bit codes: clamp(round((c * power + bias) * factor) + zero).
  ;; C: m rows of `stride` bytes, as `matmul` leaves them; `power`, `bias` and `factor` have as many columns, as i32, i32
  ;; and f64.
  ;; A factor is a multiplier of 22 bits times a power of two: a product with 31 bits is exact in f64, and f64x2.nearest
  ;; rounds ties to even. Rows of `n` bytes go to `out`, which has room for 8 more bytes than it needs.
  (func (export "requantize")
    (param $c i32) (param $bias i32) (param $factor i32) (param $out i32)
    (param $m i32) (param $n i32) (param $stride i32) (param $power i32)
    (param $zero i32) (param $low i32) (param $high i32)
    (local $j i32) (local $pc i32) (local $po i32) (local $x v128) (local $pb i32) (local $pf i32) (local $pw i32)
    (local $zeros v128) (local $lows v128) (local $highs v128)
    (local.set $zeros (i32x4.splat (local.get $zero)))
    (local.set $lows (i32x4.splat (local.get $low)))
    (local.set $highs (i32x4.splat (local.get $high)))
    (loop $rows
      (local.set $pc (local.get $c))
      (local.set $pb (local.get $bias))
      (local.set $pf (local.get $factor))
      (local.set $pw (local.get $power))
      (local.set $po (local.get $out))
      (local.set $j (i32.const 0))
      (loop $columns
        (local.set $x (i32x4.add
          (i32x4.mul (v128.load (local.get $pc)) (v128.load (local.get $pw)))
          (v128.load (local.get $pb))))
        ;; two lanes at a time in f64, then the four together again
        (local.set $x (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
          (i32x4.trunc_sat_f64x2_s_zero (f64x2.nearest (f64x2.mul
            (f64x2.convert_low_i32x4_s (local.get $x))
            (v128.load (local.get $pf)))))
          (i32x4.trunc_sat_f64x2_s_zero (f64x2.nearest (f64x2.mul
            (f64x2.convert_low_i32x4_s (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7
              (local.get $x) (local.get $x)))
            (v128.load offset=16 (local.get $pf)))))))
        ;; clipped before the zero point is added, so that the sum cannot wrap around
        (local.set $x (i32x4.min_s (local.get $highs) (i32x4.max_s (local.get $lows) (local.get $x))))
        (local.set $x (i32x4.add (local.get $x) (local.get $zeros)))
        ;; the lowest byte of each
        (v128.store32_lane 0 (local.get $po) (i8x16.shuffle 0 4 8 12 0 4 8 12 0 4 8 12 0 4 8 12
          (local.get $x) (local.get $x)))
        (local.set $pc (i32.add (local.get $pc) (i32.const 16)))
        (local.set $pb (i32.add (local.get $pb) (i32.const 16)))
        (local.set $pw (i32.add (local.get $pw) (i32.const 16)))
        (local.set $pf (i32.add (local.get $pf) (i32.const 32)))
        (local.set $po (i32.add (local.get $po) (i32.const 4)))
        (br_if $columns (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 4))) (local.get $n))))
      (local.set $c (i32.add (local.get $c) (local.get $stride)))
      (local.set $out (i32.add (local.get $out) (local.get $n)))
      (br_if $rows (local.tee $m (i32.sub (local.get $m) (i32.const 1))))))

  ;; Counts, for each row of A and each row of B, the bits set in A xor B (`$both` = 0) or in A and B (`$both` = 1).
  ;; Rows are `words` 64-bit words; four rows of B at a time, whose number must be a multiple of 4. C: m rows of n.
  (func (export "bits")
    (param $a i32) (param $b i32) (param $c i32) (param $m i32) (param $n i32) (param $words i32) (param $both i32)
    (local $i i32) (local $j i32) (local $w i32) (local $row i32)
    (local $pa i32) (local $p0 i32) (local $p1 i32) (local $p2 i32) (local $p3 i32)
    (local $x i64) (local $s0 i64) (local $s1 i64) (local $s2 i64) (local $s3 i64)
    (local.set $row (i32.shl (local.get $words) (i32.const 3)))
    (loop $rows
      (local.set $j (i32.const 0))
      (local.set $p0 (local.get $b))
      (loop $columns
        (local.set $p1 (i32.add (local.get $p0) (local.get $row)))
        (local.set $p2 (i32.add (local.get $p1) (local.get $row)))
        (local.set $p3 (i32.add (local.get $p2) (local.get $row)))
        (local.set $pa (local.get $a))
        (local.set $s0 (i64.const 0)) (local.set $s1 (i64.const 0))
        (local.set $s2 (i64.const 0)) (local.set $s3 (i64.const 0))
        (local.set $w (local.get $words))
        (if (local.get $both)
          (then (loop $and
            (local.set $x (i64.load (local.get $pa)))
            (local.set $s0 (i64.add (local.get $s0) (i64.popcnt (i64.and (local.get $x) (i64.load (local.get $p0))))))
            (local.set $s1 (i64.add (local.get $s1) (i64.popcnt (i64.and (local.get $x) (i64.load (local.get $p1))))))
            (local.set $s2 (i64.add (local.get $s2) (i64.popcnt (i64.and (local.get $x) (i64.load (local.get $p2))))))
            (local.set $s3 (i64.add (local.get $s3) (i64.popcnt (i64.and (local.get $x) (i64.load (local.get $p3))))))
            (local.set $pa (i32.add (local.get $pa) (i32.const 8)))
            (local.set $p0 (i32.add (local.get $p0) (i32.const 8)))
            (local.set $p1 (i32.add (local.get $p1) (i32.const 8)))
            (local.set $p2 (i32.add (local.get $p2) (i32.const 8)))
            (local.set $p3 (i32.add (local.get $p3) (i32.const 8)))
            (br_if $and (local.tee $w (i32.sub (local.get $w) (i32.const 1))))))
          (else (loop $xor
            (local.set $x (i64.load (local.get $pa)))
            (local.set $s0 (i64.add (local.get $s0) (i64.popcnt (i64.xor (local.get $x) (i64.load (local.get $p0))))))
            (local.set $s1 (i64.add (local.get $s1) (i64.popcnt (i64.xor (local.get $x) (i64.load (local.get $p1))))))
            (local.set $s2 (i64.add (local.get $s2) (i64.popcnt (i64.xor (local.get $x) (i64.load (local.get $p2))))))
            (local.set $s3 (i64.add (local.get $s3) (i64.popcnt (i64.xor (local.get $x) (i64.load (local.get $p3))))))
            (local.set $pa (i32.add (local.get $pa) (i32.const 8)))
            (local.set $p0 (i32.add (local.get $p0) (i32.const 8)))
            (local.set $p1 (i32.add (local.get $p1) (i32.const 8)))
            (local.set $p2 (i32.add (local.get $p2) (i32.const 8)))
            (local.set $p3 (i32.add (local.get $p3) (i32.const 8)))
            (br_if $xor (local.tee $w (i32.sub (local.get $w) (i32.const 1)))))))
        (i32.store (local.get $c) (i32.wrap_i64 (local.get $s0)))
        (i32.store offset=4 (local.get $c) (i32.wrap_i64 (local.get $s1)))
        (i32.store offset=8 (local.get $c) (i32.wrap_i64 (local.get $s2)))
        (i32.store offset=12 (local.get $c) (i32.wrap_i64 (local.get $s3)))
        (local.set $c (i32.add (local.get $c) (i32.const 16)))
        ;; each row pointer now stands at the next row's start, so the last one stands at the next four
        (local.set $p0 (local.get $p3))
        (br_if $columns (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 4))) (local.get $n))))
      (local.set $a (i32.add (local.get $a) (local.get $row)))
      (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $m))))))
