/**
 * How the tests of the page run: Debian's Chromium, three at a time, against the servers that
 * `tests/page.rs` has started. By hand: see docs/testing.md.
 */

import { defineConfig } from '@playwright/test';

const CHROMIUM = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

export default defineConfig({
  testMatch: '*.spec.mjs',
  fullyParallel: true,
  workers: 3,
  // For a machine that has much else to do; what fails, fails late.
  timeout: 120_000,
  expect: { timeout: 20_000 },
  // What fails once and not again is told as flaky.
  retries: 1,
  reporter: 'list',
  forbidOnly: true,
  outputDir: process.env.PAGE_OUTPUT ?? '../../target/page',
  use: {
    baseURL: process.env.PAGE_URL ?? 'http://127.0.0.1:8080',
    actionTimeout: 20_000,
    viewport: { width: 1280, height: 800 },
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    screenshot: 'only-on-failure',
    // Playwright waits for what moves to stand still; the first visit is with all the motion.
    contextOptions: { reducedMotion: 'reduce' },
    launchOptions: {
      executablePath: process.env.PAGE_CHROMIUM ?? '/usr/bin/chromium', args: CHROMIUM,
    },
  },
});
