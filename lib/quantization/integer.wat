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
