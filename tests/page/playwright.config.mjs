/**
 * How the tests of the page run: Debian's Chromium, two at a time, against the servers that
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
  workers: 2,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: 'list',
  forbidOnly: true,
  outputDir: process.env.PAGE_OUTPUT ?? '../../target/page',
  use: {
    baseURL: process.env.PAGE_URL ?? 'http://127.0.0.1:8080',
    actionTimeout: 15_000,
    viewport: { width: 1280, height: 800 },
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env.PAGE_CHROMIUM ?? '/usr/bin/chromium', args: CHROMIUM,
    },
  },
});
