;; §3.1.1 Products with a sparse matrix that passes through in pieces of its entries. Addresses are bytes. Sums are of 64 bits.
(module
  (memory (export "memory") 1)

  ;; The sum of $count values times the elements of x (floats) that their indices name; $wide: indices of 4 bytes, otherwise of 2.
  (func (export "gather")
    (param $values i32) (param $indices i32) (param $count i32) (param $x i32) (param $wide i32) (result f64)
    (local $a f64) (local $b f64) (local $c f64) (local $d f64) (local $end i32) (local $end4 i32)
    (local.set $end (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 2))))
    (local.set $end4 (i32.add (local.get $values) (i32.shl (i32.and (local.get $count) (i32.const -4)) (i32.const 2))))
    (if (local.get $wide)
      (then
        (block $done_one (loop $one
          (br_if $done_one (i32.ge_u (local.get $values) (local.get $end)))
          (local.set $a (f64.add (local.get $a) (f64.mul
            (f64.promote_f32 (f32.load (local.get $values)))
            (f64.promote_f32 (f32.load (i32.add (local.get $x) (i32.shl (i32.load (local.get $indices)) (i32.const 2))))))))
          (local.set $values (i32.add (local.get $values) (i32.const 4)))
          (local.set $indices (i32.add (local.get $indices) (i32.const 4)))
          (br $one))))
      (else
        ;; Four sums that do not wait for each other.
        (block $done_four (loop $four
          (br_if $done_four (i32.ge_u (local.get $values) (local.get $end4)))
          (local.set $a (f64.add (local.get $a) (f64.mul
            (f64.promote_f32 (f32.load (local.get $values)))
            (f64.promote_f32 (f32.load (i32.add (local.get $x) (i32.shl (i32.load16_u (local.get $indices)) (i32.const 2))))))))
          (local.set $b (f64.add (local.get $b) (f64.mul
            (f64.promote_f32 (f32.load offset=4 (local.get $values)))
            (f64.promote_f32 (f32.load (i32.add (local.get $x) (i32.shl (i32.load16_u offset=2 (local.get $indices)) (i32.const 2))))))))
          (local.set $c (f64.add (local.get $c) (f64.mul
            (f64.promote_f32 (f32.load offset=8 (local.get $values)))
            (f64.promote_f32 (f32.load (i32.add (local.get $x) (i32.shl (i32.load16_u offset=4 (local.get $indices)) (i32.const 2))))))))
          (local.set $d (f64.add (local.get $d) (f64.mul
            (f64.promote_f32 (f32.load offset=12 (local.get $values)))
            (f64.promote_f32 (f32.load (i32.add (local.get $x) (i32.shl (i32.load16_u offset=6 (local.get $indices)) (i32.const 2))))))))
          (local.set $values (i32.add (local.get $values) (i32.const 16)))
          (local.set $indices (i32.add (local.get $indices) (i32.const 8)))
          (br $four)))
        (block $done_rest (loop $rest
          (br_if $done_rest (i32.ge_u (local.get $values) (local.get $end)))
          (local.set $a (f64.add (local.get $a) (f64.mul
            (f64.promote_f32 (f32.load (local.get $values)))
            (f64.promote_f32 (f32.load (i32.add (local.get $x) (i32.shl (i32.load16_u (local.get $indices)) (i32.const 2))))))))
          (local.set $values (i32.add (local.get $values) (i32.const 4)))
          (local.set $indices (i32.add (local.get $indices) (i32.const 2)))
          (br $rest)))))
    (f64.add (f64.add (local.get $a) (local.get $b)) (f64.add (local.get $c) (local.get $d))))

  ;; Adds $count values times a factor to the sums (doubles) that their indices name.
  (func (export "scatter")
    (param $values i32) (param $indices i32) (param $count i32) (param $sums i32) (param $factor f64) (param $wide i32)
    (local $sum i32) (local $end i32) (local $end4 i32)
    (local.set $end (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 2))))
    (local.set $end4 (i32.add (local.get $values) (i32.shl (i32.and (local.get $count) (i32.const -4)) (i32.const 2))))
    (if (local.get $wide)
      (then
        (block $done_one (loop $one
          (br_if $done_one (i32.ge_u (local.get $values) (local.get $end)))
          (local.set $sum (i32.add (local.get $sums) (i32.shl (i32.load (local.get $indices)) (i32.const 3))))
          (f64.store (local.get $sum) (f64.add (f64.load (local.get $sum))
            (f64.mul (local.get $factor) (f64.promote_f32 (f32.load (local.get $values))))))
          (local.set $values (i32.add (local.get $values) (i32.const 4)))
          (local.set $indices (i32.add (local.get $indices) (i32.const 4)))
          (br $one))))
      (else
        (block $done_four (loop $four
          (br_if $done_four (i32.ge_u (local.get $values) (local.get $end4)))
          (local.set $sum (i32.add (local.get $sums) (i32.shl (i32.load16_u (local.get $indices)) (i32.const 3))))
          (f64.store (local.get $sum) (f64.add (f64.load (local.get $sum))
            (f64.mul (local.get $factor) (f64.promote_f32 (f32.load (local.get $values))))))
          (local.set $sum (i32.add (local.get $sums) (i32.shl (i32.load16_u offset=2 (local.get $indices)) (i32.const 3))))
          (f64.store (local.get $sum) (f64.add (f64.load (local.get $sum))
            (f64.mul (local.get $factor) (f64.promote_f32 (f32.load offset=4 (local.get $values))))))
          (local.set $sum (i32.add (local.get $sums) (i32.shl (i32.load16_u offset=4 (local.get $indices)) (i32.const 3))))
          (f64.store (local.get $sum) (f64.add (f64.load (local.get $sum))
            (f64.mul (local.get $factor) (f64.promote_f32 (f32.load offset=8 (local.get $values))))))
          (local.set $sum (i32.add (local.get $sums) (i32.shl (i32.load16_u offset=6 (local.get $indices)) (i32.const 3))))
          (f64.store (local.get $sum) (f64.add (f64.load (local.get $sum))
            (f64.mul (local.get $factor) (f64.promote_f32 (f32.load offset=12 (local.get $values))))))
          (local.set $values (i32.add (local.get $values) (i32.const 16)))
          (local.set $indices (i32.add (local.get $indices) (i32.const 8)))
          (br $four)))
        (block $done_rest (loop $rest
          (br_if $done_rest (i32.ge_u (local.get $values) (local.get $end)))
          (local.set $sum (i32.add (local.get $sums) (i32.shl (i32.load16_u (local.get $indices)) (i32.const 3))))
          (f64.store (local.get $sum) (f64.add (f64.load (local.get $sum))
            (f64.mul (local.get $factor) (f64.promote_f32 (f32.load (local.get $values))))))
          (local.set $values (i32.add (local.get $values) (i32.const 4)))
          (local.set $indices (i32.add (local.get $indices) (i32.const 2)))
          (br $rest)))))))
