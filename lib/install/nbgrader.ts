// What nbgrader must be told of cells in TypeScript and JavaScript: what stands in the place of a solution.

/**
 * The configuration as a Python file.
 *
 * @param course the course's name, by which nbgrader's exchange hands out and collects; none for the environment of all courses
 */
export function nbgraderConfig(course?: string): string {
  const named = course === undefined ? "" : `c.CourseDirectory.course_id = ${JSON.stringify(course)}\n`;
  return `# nbgrader clears solutions of cells in TypeScript and JavaScript, too. Written by slimlab.
c = get_config()
${named}stub = '// YOUR CODE HERE\\nthrow new Error("not done yet");'
c.ClearSolutions.code_stub = {
    "typescript": stub,
    "javascript": stub,
    "python": "# YOUR CODE HERE\\nraise NotImplementedError()",
}
`;
}
