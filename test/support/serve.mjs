// Replies to its test from a separate process: see servant.ts.

/** Answers each message with what the function of its name gives, and ends with the test. */
export function serve(answers) {
  process.on('message', async ({ id, name, given }) => {
    const answer = await answers[name](given);
    process.send({ id, answer });
  });
  process.on('disconnect', () => process.exit());
  process.send({ id: 0 });
}
