// What the JavaScript tests share: run named behaviours one after another, say which failed, and end accordingly.

export const [, , address, protocolWord] = process.argv;
export const protocol = Number(protocolWord);
export const [host, port] = [address.slice(0, address.lastIndexOf(":")), Number(address.slice(address.lastIndexOf(":") + 1))];

/** Runs each behaviour of an object; `end` closes what is open. */
export async function run(library, behaviours, end) {
  let failed = 0;
  const names = Object.keys(behaviours);
  // Told again where it is awaited.
  process.on("unhandledRejection", () => {});
  // A hang must not look like a pass.
  const limit = setTimeout(() => {
    console.log(`  ${library}: no end after two minutes`);
    process.exit(1);
  }, 120_000);
  for (const name of names) {
    try {
      await behaviours[name]();
    } catch (error) {
      failed += 1;
      const place = /\w+\.mjs:\d+/.exec((error.stack ?? "").replace(/behaviours\.mjs:\d+/g, ""));
      console.log(`  ${name}${place ? `, ${place}` : ""}: ${error.message.split("\n").slice(0, 12).join(" | ")}`);
    }
  }
  await end();
  clearTimeout(limit);
  console.log(`  ${library}, RESP${protocol}: ${names.length - failed} of ${names.length} behaviours`);
  process.exit(failed ? 1 : 0);
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
