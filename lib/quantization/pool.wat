;; §3.2.2 The largest codes of a window, channel by channel. Sixteen at a time: the memory behind the last channel may be read and
;; written.
(module
  (memory (export "memory") 1)

  ;; $rows lines of $cols places, each of $channels codes; lines are $row bytes apart. Signed codes come with $flip 128, which
  ;; makes them unsigned ones in the same order.
  (func (export "largest")
    (param $at i32) (param $rows i32) (param $row i32) (param $cols i32) (param $channels i32) (param $to i32) (param $flip i32)
    (local $c i32) (local $y i32) (local $x i32) (local $p i32) (local $line i32) (local $most v128) (local $flips v128)
    (local.set $flips (i8x16.splat (local.get $flip)))
    (loop $sixteen
      (local.set $most (v128.const i32x4 0 0 0 0))
      (local.set $line (i32.add (local.get $at) (local.get $c)))
      (local.set $y (local.get $rows))
      (loop $lines
        (local.set $p (local.get $line))
        (local.set $x (local.get $cols))
        (loop $places
          (local.set $most (i8x16.max_u (local.get $most) (v128.xor (v128.load (local.get $p)) (local.get $flips))))
          (local.set $p (i32.add (local.get $p) (local.get $channels)))
          (br_if $places (local.tee $x (i32.sub (local.get $x) (i32.const 1)))))
        (local.set $line (i32.add (local.get $line) (local.get $row)))
        (br_if $lines (local.tee $y (i32.sub (local.get $y) (i32.const 1)))))
      (v128.store (i32.add (local.get $to) (local.get $c)) (v128.xor (local.get $most) (local.get $flips)))
      (br_if $sixteen (i32.lt_u (local.tee $c (i32.add (local.get $c) (i32.const 16))) (local.get $channels))))))
