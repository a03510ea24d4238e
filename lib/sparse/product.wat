;; §3.1.1 Products with a sparse matrix that passes through in pieces of its entries. Addresses are bytes, numbers are doubles
;; but for a piece's values. What indices name begins at 32768: a constant address costs nothing where it is read.
(module
  (memory (export "memory") 1)

  ;; The sum of $count values times the numbers that their indices name; $wide: indices of 4 bytes, otherwise of 2.
  (func $gather
    (param $values i32) (param $indices i32) (param $count i32) (param $wide i32) (result f64)
    (local $a v128) (local $b v128) (local $rest f64) (local $end i32) (local $end4 i32)
    (local.set $end (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 2))))
    (local.set $end4 (i32.add (local.get $values) (i32.shl (i32.and (local.get $count) (i32.const -4)) (i32.const 2))))
    (if (local.get $wide)
      (then
        (block $done_one (loop $one
          (br_if $done_one (i32.ge_u (local.get $values) (local.get $end)))
          (local.set $rest (f64.add (local.get $rest) (f64.mul
            (f64.promote_f32 (f32.load (local.get $values)))
            (f64.load offset=32768 (i32.shl (i32.load (local.get $indices)) (i32.const 3))))))
          (local.set $values (i32.add (local.get $values) (i32.const 4)))
          (local.set $indices (i32.add (local.get $indices) (i32.const 4)))
          (br $one))))
      (else
        ;; Two pairs of sums that do not wait for each other.
        (block $done_four (loop $four
          (br_if $done_four (i32.ge_u (local.get $values) (local.get $end4)))
          (local.set $a (f64x2.add (local.get $a) (f64x2.mul
            (f64x2.promote_low_f32x4 (v128.load64_zero (local.get $values)))
            (v128.load64_lane offset=32768 1 (i32.shl (i32.load16_u offset=2 (local.get $indices)) (i32.const 3))
              (v128.load64_zero offset=32768 (i32.shl (i32.load16_u (local.get $indices)) (i32.const 3)))))))
          (local.set $b (f64x2.add (local.get $b) (f64x2.mul
            (f64x2.promote_low_f32x4 (v128.load64_zero offset=8 (local.get $values)))
            (v128.load64_lane offset=32768 1 (i32.shl (i32.load16_u offset=6 (local.get $indices)) (i32.const 3))
              (v128.load64_zero offset=32768 (i32.shl (i32.load16_u offset=4 (local.get $indices)) (i32.const 3)))))))
          (local.set $values (i32.add (local.get $values) (i32.const 16)))
          (local.set $indices (i32.add (local.get $indices) (i32.const 8)))
          (br $four)))
        (block $done_rest (loop $rest
          (br_if $done_rest (i32.ge_u (local.get $values) (local.get $end)))
          (local.set $rest (f64.add (local.get $rest) (f64.mul
            (f64.promote_f32 (f32.load (local.get $values)))
            (f64.load offset=32768 (i32.shl (i32.load16_u (local.get $indices)) (i32.const 3))))))
          (local.set $values (i32.add (local.get $values) (i32.const 4)))
          (local.set $indices (i32.add (local.get $indices) (i32.const 2)))
          (br $rest)))))
    (local.set $a (f64x2.add (local.get $a) (local.get $b)))
    (f64.add (local.get $rest)
      (f64.add (f64x2.extract_lane 0 (local.get $a)) (f64x2.extract_lane 1 (local.get $a)))))

  ;; Adds $count values times a factor to the numbers that their indices name.
  (func $scatter
    (param $values i32) (param $indices i32) (param $count i32) (param $factor f64) (param $wide i32)
    (local $p i32) (local $q i32) (local $end i32) (local $end2 i32) (local $factors v128) (local $pair v128)
    (local.set $factors (f64x2.splat (local.get $factor)))
    (local.set $end (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 2))))
    (local.set $end2 (i32.add (local.get $values) (i32.shl (i32.and (local.get $count) (i32.const -2)) (i32.const 2))))
    (if (local.get $wide)
      (then
        (block $done_one (loop $one
          (br_if $done_one (i32.ge_u (local.get $values) (local.get $end)))
          (local.set $p (i32.shl (i32.load (local.get $indices)) (i32.const 3)))
          (f64.store offset=32768 (local.get $p) (f64.add (f64.load offset=32768 (local.get $p))
            (f64.mul (local.get $factor) (f64.promote_f32 (f32.load (local.get $values))))))
          (local.set $values (i32.add (local.get $values) (i32.const 4)))
          (local.set $indices (i32.add (local.get $indices) (i32.const 4)))
          (br $one))))
      (else
        (block $done_two (loop $two
          (br_if $done_two (i32.ge_u (local.get $values) (local.get $end2)))
          ;; Two at once: a line names no place twice.
          (local.set $p (i32.add (i32.const 32768) (i32.shl (i32.load16_u (local.get $indices)) (i32.const 3))))
          (local.set $q (i32.add (i32.const 32768) (i32.shl (i32.load16_u offset=2 (local.get $indices)) (i32.const 3))))
          ;; Two at once must not meet: a line that names a place twice goes on one by one.
          (local.set $pair (f64x2.add
            (v128.load64_lane 1 (local.get $q) (v128.load64_zero (local.get $p)))
            (f64x2.mul (local.get $factors) (f64x2.promote_low_f32x4 (v128.load64_zero (local.get $values))))))
          (v128.store64_lane 0 (local.get $p) (local.get $pair))
          (v128.store64_lane 1 (local.get $q) (local.get $pair))
          (local.set $values (i32.add (local.get $values) (i32.const 8)))
          (local.set $indices (i32.add (local.get $indices) (i32.const 4)))
          (br $two)))
        (block $done_rest (loop $rest
          (br_if $done_rest (i32.ge_u (local.get $values) (local.get $end)))
          (local.set $p (i32.shl (i32.load16_u (local.get $indices)) (i32.const 3)))
          (f64.store offset=32768 (local.get $p) (f64.add (f64.load offset=32768 (local.get $p))
            (f64.mul (local.get $factor) (f64.promote_f32 (f32.load (local.get $values))))))
          (local.set $values (i32.add (local.get $values) (i32.const 4)))
          (local.set $indices (i32.add (local.get $indices) (i32.const 2)))
          (br $rest))))))

  ;; The entries $from to $end of a matrix, which $line and those behind it have: where each line ends stands in $pointers.
  ;; $own has a number a line. With $deal 0 that becomes the sum of the line's entries times the numbers that they name; with 1
  ;; the entries times it are dealt out to these. Returns the line of the last entry.
  (func (export "lines")
    (param $deal i32) (param $values i32) (param $indices i32) (param $wide i32) (param $from i32) (param $end i32)
    (param $line i32) (param $pointers i32) (param $own i32) (result i32)
    (local $next i32) (local $count i32) (local $at i32)
    (block $done (loop $each
      (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
      (local.set $next (i32.load offset=4 (i32.add (local.get $pointers) (i32.shl (local.get $line) (i32.const 2)))))
      (if (i32.le_u (local.get $next) (local.get $from)) (then
        (local.set $line (i32.add (local.get $line) (i32.const 1)))
        (br $each)))
      (if (i32.gt_u (local.get $next) (local.get $end)) (then (local.set $next (local.get $end))))
      (local.set $count (i32.sub (local.get $next) (local.get $from)))
      (local.set $at (i32.add (local.get $own) (i32.shl (local.get $line) (i32.const 3))))
      (if (local.get $deal)
        (then
          ;; What is 0 adds nothing, also times what is infinite.
          (if (f64.ne (f64.load (local.get $at)) (f64.const 0)) (then
            (call $scatter
              (local.get $values) (local.get $indices) (local.get $count) (f64.load (local.get $at)) (local.get $wide)))))
        (else
          (f64.store (local.get $at) (f64.add (f64.load (local.get $at))
            (call $gather (local.get $values) (local.get $indices) (local.get $count) (local.get $wide))))))
      (local.set $values (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 2))))
      (local.set $indices (i32.add (local.get $indices)
        (i32.shl (local.get $count) (i32.add (i32.const 1) (local.get $wide)))))
      (local.set $from (local.get $next))
      (br $each)))
    (local.get $line)))
