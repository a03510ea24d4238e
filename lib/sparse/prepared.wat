;; Sparse matrix times vector: one sum a line, over the line's values times the elements of x that they meet.
;; Offsets are indices times 4, so that each is an address within x. All addresses are in bytes.
(module
  (memory (export "memory") 1)
  (func (export "gather")
    (param $lines i32) (param $values i32) (param $offsets i32) (param $pointers i32) (param $x i32) (param $out i32)
    (local $at i32) (local $end i32) (local $last i32) (local $from i32)
    (local $a v128) (local $b v128) (local $met v128) (local $rest f32)
    (local.set $end (i32.shl (i32.load (local.get $pointers)) (i32.const 2)))
    (block $done
      (loop $line
        (br_if $done (i32.eqz (local.get $lines)))
        (local.set $at (local.get $end))
        (local.set $end (i32.shl (i32.load offset=4 (local.get $pointers)) (i32.const 2)))
        (local.set $last (i32.sub (local.get $end) (i32.const 32)))
        (local.set $a (v128.const f32x4 0 0 0 0))
        (local.set $b (v128.const f32x4 0 0 0 0))
        (local.set $rest (f32.const 0))

        ;; Eight at a time into two sums: one sum alone would wait for its own additions.
        (block $few
          (loop $eight
            (br_if $few (i32.gt_s (local.get $at) (local.get $last)))
            (local.set $from (i32.add (local.get $offsets) (local.get $at)))
            (local.set $met (v128.load32_zero (i32.add (local.get $x) (i32.load (local.get $from)))))
            (local.set $met (v128.load32_lane 1
              (i32.add (local.get $x) (i32.load offset=4 (local.get $from))) (local.get $met)))
            (local.set $met (v128.load32_lane 2
              (i32.add (local.get $x) (i32.load offset=8 (local.get $from))) (local.get $met)))
            (local.set $met (v128.load32_lane 3
              (i32.add (local.get $x) (i32.load offset=12 (local.get $from))) (local.get $met)))
            (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $met)
              (v128.load (i32.add (local.get $values) (local.get $at))))))
            (local.set $met (v128.load32_zero (i32.add (local.get $x) (i32.load offset=16 (local.get $from)))))
            (local.set $met (v128.load32_lane 1
              (i32.add (local.get $x) (i32.load offset=20 (local.get $from))) (local.get $met)))
            (local.set $met (v128.load32_lane 2
              (i32.add (local.get $x) (i32.load offset=24 (local.get $from))) (local.get $met)))
            (local.set $met (v128.load32_lane 3
              (i32.add (local.get $x) (i32.load offset=28 (local.get $from))) (local.get $met)))
            (local.set $b (f32x4.add (local.get $b) (f32x4.mul (local.get $met)
              (v128.load offset=16 (i32.add (local.get $values) (local.get $at))))))
            (local.set $at (i32.add (local.get $at) (i32.const 32)))
            (br $eight)))
        (block $none
          (loop $one
            (br_if $none (i32.ge_s (local.get $at) (local.get $end)))
            (local.set $rest (f32.add (local.get $rest) (f32.mul
              (f32.load (i32.add (local.get $values) (local.get $at)))
              (f32.load (i32.add (local.get $x) (i32.load (i32.add (local.get $offsets) (local.get $at))))))))
            (local.set $at (i32.add (local.get $at) (i32.const 4)))
            (br $one)))

        (local.set $a (f32x4.add (local.get $a) (local.get $b)))
        (f32.store (local.get $out) (f32.add (local.get $rest) (f32.add
          (f32.add (f32x4.extract_lane 0 (local.get $a)) (f32x4.extract_lane 1 (local.get $a)))
          (f32.add (f32x4.extract_lane 2 (local.get $a)) (f32x4.extract_lane 3 (local.get $a))))))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (local.set $pointers (i32.add (local.get $pointers) (i32.const 4)))
        (local.set $lines (i32.sub (local.get $lines) (i32.const 1)))
        (br $line))))
)
